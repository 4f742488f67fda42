"""The list of jobs: everything that was asked for, from the moment it is in the queue, whether or not it has a run."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import ColumnElement, select

from ci.api.access import GateHere
from ci.api.pages import cursor, number_position
from ci.store.states import JobState
from ci.store.tables import JOB
from ci.web.auth.access import Reader
from ci.web.listing import PAGE, After, Word, listed, one_of
from farm.model.run import Verdict
from farm.store.engine import transaction

router = APIRouter()

_VERDICTS = tuple(verdict.value for verdict in Verdict)
# What a person calls the state of a job: its verdict once it has one.
STATES = (*(state.value for state in JobState if state is not JobState.DONE), *_VERDICTS)
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
    after: After = "",
) -> HTMLResponse:
    """Jobs, the newest first."""
    chosen = {"repository": repository, "pull": pull, "state": one_of("state", state, STATES), "author": author}
    wanted = select(JOB).where(*_conditions(**chosen)).order_by(JOB.c.sequence.desc()).limit(PAGE + 1)
    if after:
        wanted = wanted.where(JOB.c.sequence < number_position(after))
    with transaction(gate.engine, "read") as connection:
        found = connection.execute(wanted).all()
    following = cursor(found[PAGE - 1].sequence) if len(found) > PAGE else ""
    repositories = sorted({each.name for each in gate.config.repository})
    shown = {"jobs": found[:PAGE], "repositories": repositories, "states": STATES}
    return listed(request, who, "jobs.html", chosen, after, following, **shown)


def _conditions(repository: str, pull: str, state: str, author: str) -> list[ColumnElement[bool]]:
    """What the form's fields mean. Raises `HTTPException` for a field that cannot mean anything."""
    conditions = []
    number = pull.strip().removeprefix("#")
    if number and not (number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER):
        raise HTTPException(422, "pull: the number of a pull request, such as 7 or #7")
    if repository:
        conditions.append(JOB.c.repository == repository)
    if number:
        conditions.append(JOB.c.number == int(number))
    if state:
        conditions.append((JOB.c.verdict if state in _VERDICTS else JOB.c.state) == state)
    if author:
        conditions.append(JOB.c.author == author.strip())
    return conditions
