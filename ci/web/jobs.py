"""A job: where its check links to, what its run is doing, and the buttons that approve, cancel and retry it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from ci.api import jobs
from ci.api.access import ApiContext, GateHere, Origin
from ci.api.jobs import Job, JobId
from ci.store.states import OPEN, UNDER_WAY, JobState, Scope
from ci.web import job_facts, logs
from ci.web.auth.access import READER, Reader, Viewer, acting
from ci.web.live import Drawn, LiveHere, stream
from ci.web.pages import drawn, language_of, render
from farm.model.audit import Actor, AuditAction
from farm.monitor.active_runs import going
from farm.store.engine import transaction

router = APIRouter(prefix="/jobs/{job_id}")


def _subject(gate: GateHere, job_id: JobId) -> Callable[[], str]:
    return lambda: jobs.get_job(gate, job_id).id


Canceller = Annotated[Viewer, Depends(acting(Scope.SUBMIT, AuditAction.CANCELLED, _subject))]
Approver = Annotated[Viewer, Depends(acting(Scope.SUBMIT, AuditAction.APPROVED, _subject))]
Retrier = Annotated[Viewer, Depends(acting(Scope.SUBMIT, AuditAction.RETRIED, _subject))]


@router.get("")
def job(request: Request, gate: GateHere, who: Reader, job_id: JobId) -> HTMLResponse:
    """The page."""
    found = jobs.get_job(gate, job_id)
    with transaction(gate.engine, "read") as connection:
        links = job_facts.forge_links(connection, gate.config, found)
        before, after = job_facts.retries(connection, job_id)
    return render(
        request,
        "job.html",
        who,
        **_moving(gate, found),
        live=found.state in UNDER_WAY,
        links=links,
        retry_of=before,
        retried_as=after,
        log=logs.ending_of_job(job_id),
        may_approve=found.state is JobState.HELD,
        may_cancel=found.state in OPEN,
        may_retry=found.state not in UNDER_WAY and not after,
    )


@router.get("/live", dependencies=[READER])
def moving(request: Request, gate: GateHere, live: LiveHere, job_id: JobId) -> StreamingResponse:
    """The part of it that moves."""
    language = language_of(request)
    return stream(request, live, language, lambda: _drawn(gate, language, job_id))


@router.post("/cancel")
def cancel(gate: GateHere, who: Canceller, origin: Origin, job_id: JobId) -> RedirectResponse:
    """As the API does it."""
    jobs.cancel_by(gate, Actor(who.by, origin), job_id)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/approve")
def approve(gate: GateHere, who: Approver, origin: Origin, job_id: JobId) -> RedirectResponse:
    """As the API does it."""
    jobs.approve_by(gate, Actor(who.by, origin), job_id)
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/retry")
def retry(gate: GateHere, who: Retrier, origin: Origin, job_id: JobId) -> RedirectResponse:
    """As the API does it; leads to the new job."""
    made = jobs.retry_by(gate, Actor(who.by, origin), job_id, Response())
    return RedirectResponse(f"/jobs/{made.id}", 303)


def _drawn(gate: ApiContext, language: str, job_id: str) -> Drawn:
    found = jobs.get_job(gate, job_id)
    return drawn("job_live.html", language, over=found.state not in UNDER_WAY, **_moving(gate, found))


def _moving(gate: ApiContext, found: Job) -> dict[str, Any]:
    """What the part of the page shows that moves."""
    with transaction(gate.engine, "read") as connection:
        place = job_facts.place(connection, found.id)
    running = going(gate.engine, found.run_id) if found.run_id else []
    return {"job": found, "running": running, "place": place}
