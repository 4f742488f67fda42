"""Runs of the farm: the list, and each with its record."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from ci.api.access import READER, GateHere
from ci.api.pages import Cursor, Limit, Page, Word, cursor, text_position
from ci.api.problems import ApiError
from farm.errors import UnknownRunError
from farm.model.run import RunRecord
from farm.store import run_queries
from farm.store.row_mapping import RunSummary
from farm.store.run_queries import Position, RunFilter
from farm.store.run_store import AmbiguousRunError, Store

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
    Store(gate.engine).settle()
    chosen = RunFilter(kernel or "", platform or "", commit or "", verdict or "")
    found = run_queries.page(gate.engine, chosen, limit, Position(*text_position(after)) if after is not None else None)
    last = found.next
    return Page(items=found.runs, next=cursor(last.started_at, last.run_id) if last else None)


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
