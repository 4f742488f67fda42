"""Runs of the farm: the list, and each with its record."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from sqlalchemy import and_, or_, select

from ci.api.access import READER, GateHere
from ci.api.pages import Cursor, Limit, Page, Word, cursor, text_position
from ci.api.problems import ApiError
from farm import rows
from farm.database import transaction
from farm.errors import UnknownRunError
from farm.record import RunRecord
from farm.rows import RunSummary
from farm.store import AmbiguousRunError, Store
from farm.tables import RUN

router = APIRouter(prefix="/runs", tags=["runs"], dependencies=[READER])

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,100}$", description="The whole id.")]
Ended = Literal["passed", "failed", "errored", "running"]


@router.get("", summary="List runs")
def list_runs(
    gate: GateHere,
    kernel: Word | None = None,
    platform: Word | None = None,
    commit: Word | None = None,
    verdict: Ended | None = None,
    limit: Limit = 50,
    after: Cursor = None,
) -> Page[RunSummary]:
    """Runs, the one started last first."""
    Store(gate.engine).list(limit=1)  # a reader of the store settles the runs whose process is gone
    equal = {"kernel": kernel, "platform": platform, "commit": commit}
    query = select(RUN).where(*(RUN.c[name] == value for name, value in equal.items() if value is not None))
    if verdict is not None:
        query = query.where(RUN.c.verdict.is_(None) if verdict == "running" else RUN.c.verdict == verdict)
    if after is not None:
        started, run_id = text_position(after)
        query = query.where(or_(RUN.c.started_at < started, and_(RUN.c.started_at == started, RUN.c.id < run_id)))
    query = query.order_by(RUN.c.started_at.desc(), RUN.c.id.desc()).limit(limit + 1)
    with transaction(gate.engine, "read") as connection:
        found = [rows.summary(rows.record(row, [])) for row in connection.execute(query)]
    more = len(found) > limit
    shown = found[:limit]
    return Page(items=shown, next=cursor(shown[-1].started_at, shown[-1].run_id) if more else None)


@router.get("/{run_id}", summary="One run")
def get_run(gate: GateHere, run_id: RunId) -> RunRecord:
    """The record of a run with all its trials, as `report.json` has it; `directory` is left out."""
    return known(gate, run_id).model_copy(update={"directory": ""})


def known(gate: GateHere, run_id: str) -> RunRecord:
    """The run of exactly that id. Raises `ApiError`."""
    try:
        record = Store(gate.engine).get(run_id)
    except (UnknownRunError, AmbiguousRunError):
        record = None
    if record is None or record.run_id != run_id:
        raise ApiError(404, f"no run '{run_id}'")
    return record
