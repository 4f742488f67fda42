"""One run: live while it goes on, then what came out of it, with the whole report a link away."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import select

from ci.api import files
from ci.api.access import Gate, GateHere
from ci.api.files import RunFile
from ci.api.runs import RunId, known
from ci.queue import JobRow
from ci.states import OPEN, JobState
from ci.tables import JOB
from ci.web.access import READER, Reader
from ci.web.charts import wall_times
from ci.web.pages import fragment, render
from farm.database import transaction
from farm.going import Going, going
from farm.record import GateStatus, RunRecord
from farm.report.figures import (
    CaseTime,
    StageTotal,
    WorstOutput,
    agreement,
    case_times,
    stage_totals,
    time_spent,
    worst_outputs,
)
from farm.report.formats import FORMATS
from farm.store import Store

router = APIRouter(prefix="/runs/{run_id}")

_REPORT = "html"
# The report brings its scripts along, so it is shown in an origin of its own: nothing of this service is within reach.
_APART = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
}


@router.get("")
def run(request: Request, gate: GateHere, who: Reader, run_id: RunId) -> HTMLResponse:
    """The page."""
    record = known(gate, run_id)
    job = _job(gate, run_id)
    state = JobState(str(job.state)) if job else None
    return render(
        request,
        "run.html",
        who,
        record=record,
        job=job,
        may_cancel=state in OPEN,
        may_retry=state is not None and state not in (*OPEN, JobState.CANCELLING),
        running=_running(gate, record),
        gates=sorted(record.gates, key=lambda gate: gate.status is GateStatus.PASSED),
        cases=[_case(record, time) for time in case_times(record)],
        spent=time_spent(record),
        chart=wall_times(record) if record.median_us else None,
        files=_files(gate, run_id),
        has_report=_REPORT in FORMATS,
    )


@router.get("/live", dependencies=[READER])
def live(request: Request, gate: GateHere, run_id: RunId) -> HTMLResponse:
    """How far it is."""
    record = Store(gate.engine).outline(run_id)
    return fragment(request, "run_live.html", over=record.verdict is not None, running=_running(gate, record))


@router.get("/report", dependencies=[READER])
def report(gate: GateHere, run_id: RunId) -> Response:
    """`report.html`, made from the record: what lies in the run's directory, a kernel may have written."""
    if _REPORT not in FORMATS:
        raise HTTPException(404, "this farm writes no such report")
    return HTMLResponse(FORMATS[_REPORT].write(known(gate, run_id)), headers=_APART)


def _running(gate: Gate, record: RunRecord) -> list[Going]:
    return going(gate.engine, record.run_id) if record.verdict is None else []


def _case(record: RunRecord, time: CaseTime) -> dict[str, CaseTime | list[WorstOutput] | list[StageTotal] | str]:
    found = agreement(record, time.case)
    bits = "; ".join(found.odd) or f"all {found.trials} trials on {found.devices} devices agree bit by bit"
    return {
        "time": time,
        "outputs": worst_outputs(record, time.case),
        "stages": stage_totals(record, time.case),
        "bits": bits if found.trials else "nothing was measured",
    }


def _files(gate: Gate, run_id: str) -> list[RunFile]:
    """The run's files; none where they are on another machine or too many to list."""
    try:
        return files.list_artifacts(gate, run_id)
    except HTTPException:
        return []


def _job(gate: Gate, run_id: str) -> JobRow | None:
    query = select(JOB).where(JOB.c.run_id == run_id).order_by(JOB.c.sequence.desc()).limit(1)
    with transaction(gate.engine, "read") as connection:
        return connection.execute(query).first()
