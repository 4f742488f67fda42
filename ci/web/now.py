"""What the farm is doing now: what runs and how far it is, what waits, what has just ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from ci.api.access import ApiContext, GateHere
from ci.queue.job_queue import JobRow
from ci.web import job_facts
from ci.web.auth.access import READER, Reader
from ci.web.live import LiveHere, stream
from ci.web.pages import drawn, language_of, render
from ci.web.runs import jobs_of
from farm.monitor.active_runs import going
from farm.store import run_queries
from farm.store.engine import transaction
from farm.store.row_mapping import RunSummary
from farm.store.run_queries import RunFilter
from farm.store.run_store import Store

router = APIRouter()

_ENDED = 8  # shown
_WAITING = 100  # jobs shown


@dataclass(frozen=True, slots=True)
class EndedLast:
    """Something that has its verdict: a run, a job whose run is elsewhere or never began, or both."""

    at: str  # when it started, ISO 8601, UTC
    verdict: str
    reason: str
    run: RunSummary | None
    job: JobRow | None

    @classmethod
    def of_run(cls, run: RunSummary, job: JobRow | None) -> EndedLast:
        """One run, with the job that it was made for."""
        return cls(run.started_at, run.verdict.value if run.verdict else "", run.reason, run, job)

    @classmethod
    def of_job(cls, job: JobRow) -> EndedLast:
        """One job without a run in the store."""
        return cls(str(job.started_at or job.created_at), str(job.verdict), str(job.reason), None, job)


@router.get("/")
def now(request: Request, gate: GateHere, who: Reader) -> HTMLResponse:
    """The page."""
    return render(request, "now.html", who, **_known(gate))


@router.get("/now/live", dependencies=[READER])
def moving(request: Request, gate: GateHere, live: LiveHere) -> StreamingResponse:
    """The part of it that moves."""
    language = language_of(request)
    return stream(request, live, language, lambda: drawn("now_live.html", language, **_known(gate)))


def _known(gate: ApiContext) -> dict[str, Any]:
    Store(gate.engine).settle()
    running = going(gate.engine)
    with transaction(gate.engine, "read") as connection:
        queue, waiting = job_facts.waiting(connection, _WAITING)
        starting = job_facts.without_run(connection, ended=False, limit=_WAITING)
        unrun = job_facts.without_run(connection, ended=True, limit=_ENDED)
    runs = [run for run in run_queries.page(gate.engine, RunFilter(), _ENDED + len(running)).runs if run.verdict]
    jobs = jobs_of(gate, [each.record.run_id for each in running] + [run.run_id for run in runs])
    ended = [EndedLast.of_run(run, jobs.get(run.run_id)) for run in runs] + [EndedLast.of_job(job) for job in unrun]
    return {
        "running": running,
        "starting": starting,
        "queue": queue,
        "waiting": waiting,
        "ended": sorted(ended, key=lambda each: each.at, reverse=True)[:_ENDED],
        "jobs": jobs,
    }
