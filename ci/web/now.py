"""What the farm is doing now: what runs and how far it is, what waits, what has just ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy import case, func, select

from ci.api.access import ApiContext, GateHere
from ci.queue.job_queue import JobRow
from ci.store.states import JobState
from ci.store.tables import JOB
from ci.web.auth.access import READER, Reader
from ci.web.live import LiveHere, stream
from ci.web.pages import drawn, render
from ci.web.runs import jobs_of
from farm.model.priority import Priority
from farm.monitor.active_runs import going
from farm.store import run_queries
from farm.store.engine import transaction
from farm.store.run_queries import RunFilter
from farm.store.run_store import Store

router = APIRouter()

_ENDED = 8  # runs shown
_WAITING = 100  # jobs shown
_WAIT = (JobState.QUEUED.value, JobState.HELD.value)


@router.get("/")
def now(request: Request, gate: GateHere, who: Reader) -> HTMLResponse:
    """The page."""
    return render(request, "now.html", who, **_known(gate))


@router.get("/now/live", dependencies=[READER])
def moving(request: Request, gate: GateHere, live: LiveHere) -> StreamingResponse:
    """The part of it that moves."""
    return stream(request, live, lambda: drawn("now_live.html", **_known(gate)))


def _known(gate: ApiContext) -> dict[str, Any]:
    Store(gate.engine).settle()
    running = going(gate.engine)
    queue, waiting = _queue(gate)
    ended = [run for run in run_queries.page(gate.engine, RunFilter(), _ENDED + len(running)).runs if run.verdict]
    ids = [each.record.run_id for each in running] + [run.run_id for run in ended]
    return {
        "running": running,
        "queue": queue,
        "waiting": waiting,
        "ended": ended[:_ENDED],
        "jobs": jobs_of(gate, ids),
    }


def _queue(gate: ApiContext) -> tuple[Sequence[JobRow], int]:
    """The jobs that wait, in the order they are taken, as many as are shown; and how many there are."""
    mine = JOB.c.state.in_(_WAIT)
    rank = case({each.value: number for number, each in enumerate(Priority)}, value=JOB.c.priority, else_=99)
    query = select(JOB).where(mine).order_by(JOB.c.state == JobState.HELD.value, rank, JOB.c.sequence).limit(_WAITING)
    with transaction(gate.engine, "read") as connection:
        number = connection.execute(select(func.count()).select_from(JOB).where(mine)).scalar_one()
        return connection.execute(query).all(), int(number)
