"""The list of runs: filtered, searched by text, and paged from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from ci.api.access import ApiContext, GateHere
from ci.api.pages import cursor, text_position
from ci.queue.job_queue import JobRow
from ci.store.tables import JOB
from ci.web import run_search
from ci.web.auth.access import Reader
from ci.web.pages import query, render
from farm.model.run import Verdict
from farm.store import run_queries
from farm.store.engine import transaction
from farm.store.run_queries import Position, RunFilter
from farm.store.run_store import Store

router = APIRouter()

_PAGE = 50
_VERDICTS = ("running", *(verdict.value for verdict in Verdict))

# PostgreSQL takes no NUL in text, and nobody means one.
Word = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("/runs")
def runs(
    request: Request,
    gate: GateHere,
    who: Reader,
    text: Word = "",
    kernel: Word = "",
    platform: Word = "",
    verdict: Word = "",
    after: Annotated[str, Query(max_length=500)] = "",
) -> HTMLResponse:
    """Runs, the one started last first."""
    if verdict and verdict not in _VERDICTS:
        raise HTTPException(422, f"verdict: choose one of {', '.join(_VERDICTS)}")
    try:
        chosen = RunFilter(kernel=kernel, platform=platform, verdict=verdict, also=run_search.conditions(text))
    except ValueError as error:
        raise HTTPException(422, f"text: {error}") from None
    Store(gate.engine).settle()
    found = run_queries.page(gate.engine, chosen, _PAGE, Position(*text_position(after)) if after else None)
    known = run_queries.kernels(gate.engine)
    return render(
        request,
        "runs.html",
        who,
        chosen=chosen,
        text=text,
        runs=found.runs,
        jobs=jobs_of(gate, [run.run_id for run in found.runs]),
        kernels=sorted({name for name, _ in known}),
        platforms=sorted({name for _, name in known}),
        verdicts=_VERDICTS,
        query=query({"text": text, "kernel": kernel, "platform": platform, "verdict": verdict}),
        first=not after,
        next=cursor(found.next.started_at, found.next.run_id) if found.next else "",
    )


def jobs_of(gate: ApiContext, run_ids: Sequence[str]) -> dict[str, JobRow]:
    """Run → the job it was made for, where the queue made it."""
    with transaction(gate.engine, "read") as connection:
        return {str(row.run_id): row for row in connection.execute(select(JOB).where(JOB.c.run_id.in_(run_ids)))}
