"""One run: live while it goes on, with the parts of its report on the page, and the whole of it a link away."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from ci.api import files
from ci.api.access import ApiContext, GateHere
from ci.api.files import RunFile
from ci.api.problems import ApiError
from ci.api.runs import RunId, known
from ci.queue import job_targets
from ci.queue.job_queue import JobRow
from ci.store.states import OPEN, JobState
from ci.web.auth.access import READER, Reader
from ci.web.live import Drawn, LiveHere, stream
from ci.web.pages import drawn, language_of, render
from farm.analysis.figures import time_spent
from farm.analysis.gate_basis import basis
from farm.model.run import GateStatus, RunRecord
from farm.monitor.active_runs import ActiveRun, going
from farm.report.formats import FORMATS
from farm.report.html.case_view import case_views
from farm.report.html.page import parts
from farm.store.engine import transaction
from farm.store.run_store import Store

router = APIRouter(prefix="/runs/{run_id}")

_REPORT = "html"
# On the page: cases, tasks drawn, rows of a table over devices, a suite's targets; the report has more.
_CASES, _TASKS, _ROWS, _TARGETS = 12, 8000, 16, 2000
# The report brings its scripts along, so it is shown in an origin of its own: nothing of this service is within reach.
_APART = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
}


@router.get("")
def run(request: Request, gate: GateHere, who: Reader, run_id: RunId) -> Response:
    """The page; that of the job while its run has not begun."""
    job = _job(gate, run_id)
    try:
        record = known(gate, run_id)
    except ApiError:
        if job is None:
            raise
        return RedirectResponse(f"/jobs/{job.id}", 303)
    state = JobState(str(job.state)) if job else None
    return render(
        request,
        "run.html",
        who,
        job=job,
        may_cancel=state in OPEN,
        may_retry=state is not None and state not in (*OPEN, JobState.CANCELLING),
        running=_running(gate, record),
        basis=basis,
        gates=sorted(record.gates, key=lambda gate: gate.status is GateStatus.PASSED),
        spent=time_spent(record),
        **parts(record, case_views(record, most=_CASES, tasks=_TASKS), _ROWS, _TARGETS),
        files=_files(gate, run_id),
        has_report=_REPORT in FORMATS,
    )


@router.get("/live", dependencies=[READER])
def moving(request: Request, gate: GateHere, live: LiveHere, run_id: RunId) -> StreamingResponse:
    """How far it is."""
    language = language_of(request)
    return stream(request, live, language, lambda: _drawn(gate, language, run_id))


@router.get("/report", dependencies=[READER])
def report(gate: GateHere, run_id: RunId) -> Response:
    """`report.html`, made from the record: what lies in the run's directory, a kernel may have written."""
    if _REPORT not in FORMATS:
        raise HTTPException(404, "this farm writes no such report")
    return HTMLResponse(FORMATS[_REPORT].write(known(gate, run_id)), headers=_APART)


def _drawn(gate: ApiContext, language: str, run_id: str) -> Drawn:
    record = Store(gate.engine).outline(run_id)
    return drawn("run_live.html", language, over=record.verdict is not None, running=_running(gate, record))


def _running(gate: ApiContext, record: RunRecord) -> list[ActiveRun]:
    return going(gate.engine, record.run_id) if record.verdict is None else []


def _files(gate: ApiContext, run_id: str) -> list[RunFile]:
    """The run's files; none where they are on another machine or too many to list."""
    try:
        return files.list_artifacts(gate, run_id)
    except HTTPException:
        return []


def _job(gate: ApiContext, run_id: str) -> JobRow | None:
    with transaction(gate.engine, "read") as connection:
        return job_targets.jobs_for(connection, [run_id]).get(run_id)
