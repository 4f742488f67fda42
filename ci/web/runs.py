"""The list of runs: filtered, searched by text, and paged from run to run."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from ci.api.access import ApiContext, GateHere
from ci.api.pages import cursor, text_position
from ci.queue import job_targets
from ci.queue.job_queue import JobRow
from ci.web import run_search
from ci.web.auth.access import Reader
from ci.web.listing import PAGE, After, Word, listed, one_of
from farm.model.run import Verdict
from farm.store import run_queries
from farm.store.engine import transaction
from farm.store.run_queries import Position, RunFilter
from farm.store.run_store import Store

router = APIRouter()

_VERDICTS = ("running", *(verdict.value for verdict in Verdict))


@router.get("/runs")
def runs(
    request: Request,
    gate: GateHere,
    who: Reader,
    text: Word = "",
    kernel: Word = "",
    platform: Word = "",
    verdict: Word = "",
    after: After = "",
) -> HTMLResponse:
    """Runs, the one started last first."""
    equal = {"kernel": kernel, "platform": platform, "verdict": one_of("verdict", verdict, _VERDICTS)}
    try:
        wanted = RunFilter(**equal, also=run_search.conditions(text))
    except ValueError as error:
        raise HTTPException(422, f"text: {error}") from None
    Store(gate.engine).settle()
    found = run_queries.page(gate.engine, wanted, PAGE, Position(*text_position(after)) if after else None)
    following = cursor(found.next.started_at, found.next.run_id) if found.next else ""
    known = run_queries.kernels(gate.engine)
    fields = {"kernels": sorted({name for name, _ in known}), "platforms": sorted({name for _, name in known})}
    shown = {"runs": found.runs, "jobs": jobs_of(gate, [run.run_id for run in found.runs]), "verdicts": _VERDICTS}
    return listed(request, who, "runs.html", {"text": text, **equal}, after, following, **shown, **fields)


def jobs_of(gate: ApiContext, run_ids: Sequence[str]) -> dict[str, JobRow]:
    """Run → the job it was made for, where the queue made it."""
    with transaction(gate.engine, "read") as connection:
        return job_targets.jobs_for(connection, run_ids)
