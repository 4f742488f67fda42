"""A job: where its check links to, what its run is doing, and the buttons that cancel and retry it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from ci.api import jobs
from ci.api.access import ApiContext, GateHere
from ci.api.jobs import JobId
from ci.store.states import OPEN, UNDER_WAY, JobState
from ci.web.auth.access import READER, Reader, Submitter
from ci.web.live import Drawn, LiveHere, stream
from ci.web.pages import drawn, render
from farm.monitor.active_runs import going

router = APIRouter(prefix="/jobs/{job_id}")


@router.get("")
def job(request: Request, gate: GateHere, who: Reader, job_id: JobId) -> HTMLResponse:
    """The page."""
    found = jobs.get_job(gate, job_id)
    return render(
        request,
        "job.html",
        who,
        job=found,
        running=going(gate.engine, found.run_id) if found.run_id else [],
        live=found.state in UNDER_WAY,
        may_approve=found.state is JobState.HELD,
        may_cancel=found.state in OPEN,
        may_retry=found.state not in UNDER_WAY,
    )


@router.get("/live", dependencies=[READER])
def moving(request: Request, gate: GateHere, live: LiveHere, job_id: JobId) -> StreamingResponse:
    """The part of it that moves."""
    return stream(request, live, lambda: _drawn(gate, job_id))


@router.post("/cancel")
def cancel(gate: GateHere, who: Submitter, job_id: JobId) -> RedirectResponse:
    """As the API does it."""
    jobs.cancel_by(gate, who.by, job_id)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/approve")
def approve(gate: GateHere, who: Submitter, job_id: JobId) -> RedirectResponse:
    """As the API does it."""
    jobs.approve_by(gate, who.by, job_id)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/retry")
def retry(gate: GateHere, who: Submitter, job_id: JobId) -> RedirectResponse:
    """As the API does it; leads to the new job."""
    made = jobs.retry_by(gate, who.by, job_id, Response())
    return RedirectResponse(f"/jobs/{made.id}", 303)


def _drawn(gate: ApiContext, job_id: str) -> Drawn:
    found = jobs.get_job(gate, job_id)
    running = going(gate.engine, found.run_id) if found.run_id else []
    return drawn("job_live.html", over=found.state not in UNDER_WAY, job=found, running=running)
