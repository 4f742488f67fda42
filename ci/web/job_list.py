"""The list of jobs: everything that was asked for, from the moment it is in the queue, whether or not it has a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import ColumnElement, select

from ci.api.access import GateHere
from ci.api.pages import cursor, number_position
from ci.store.states import JobState
from ci.store.tables import JOB
from ci.web.auth.access import Reader
from ci.web.pages import query, render
from ci.web.runs import Word
from farm.model.run import Verdict
from farm.store.engine import transaction

router = APIRouter()

_PAGE = 50
# What a person calls the state of a job: its verdict once it has one.
_STATES = (*(state.value for state in JobState if state is not JobState.DONE), *(verdict.value for verdict in Verdict))
_LONGEST_NUMBER = 9  # digits; the database's integers end a little later


@router.get("/jobs")
def job_list(
    request: Request,
    gate: GateHere,
    who: Reader,
    repository: Word = "",
    pull: Word = "",
    state: Word = "",
    author: Word = "",
    after: Annotated[str, Query(max_length=500)] = "",
) -> HTMLResponse:
    """Jobs, the newest first."""
    conditions = _conditions(repository, pull, state, author)
    wanted = select(JOB).where(*conditions).order_by(JOB.c.sequence.desc()).limit(_PAGE + 1)
    if after:
        wanted = wanted.where(JOB.c.sequence < number_position(after))
    with transaction(gate.engine, "read") as connection:
        found = connection.execute(wanted).all()
    return render(
        request,
        "jobs.html",
        who,
        chosen={"repository": repository, "pull": pull, "state": state, "author": author},
        jobs=found[:_PAGE],
        repositories=sorted({each.name for each in gate.config.repository}),
        states=_STATES,
        query=query({"repository": repository, "pull": pull, "state": state, "author": author}),
        first=not after,
        next=cursor(found[_PAGE - 1].sequence) if len(found) > _PAGE else "",
    )


def _conditions(repository: str, pull: str, state: str, author: str) -> list[ColumnElement[bool]]:
    """What the form's fields mean. Raises `HTTPException` for a field that cannot mean anything."""
    conditions = []
    number = pull.strip().removeprefix("#")
    if number and not (number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER):
        raise HTTPException(422, "pull: the number of a pull request, such as 7 or #7")
    if state and state not in _STATES:
        raise HTTPException(422, f"state: choose one of {', '.join(_STATES)}")
    if repository:
        conditions.append(JOB.c.repository == repository)
    if number:
        conditions.append(JOB.c.number == int(number))
    if state:
        conditions.append(JOB.c.verdict == state if state in [each.value for each in Verdict] else JOB.c.state == state)
    if author:
        conditions.append(JOB.c.author == author.strip())
    return conditions
