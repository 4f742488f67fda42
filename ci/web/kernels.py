"""Kernels: how the median of each case went over the runs, with the budget and the changes of level."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse

from ci.api.access import GateHere
from ci.web import charts
from ci.web.auth.access import Reader
from ci.web.listing import Word
from ci.web.pages import render
from farm.analysis.trends import find_trend, toolchain_changes, trend_cases
from farm.store import run_queries
from farm.store.run_store import Store

router = APIRouter(prefix="/kernels")

_RUNS = 200  # of a trend
_TABLE = 30  # of them as rows
_LATELY = 50  # runs whose cases are offered


@router.get("")
def kernels(request: Request, gate: GateHere, who: Reader) -> HTMLResponse:
    """Every kernel that was ever run, with its cases."""
    store = Store(gate.engine)
    found = [
        (kernel, platform, trend_cases(store, kernel, platform, _LATELY))
        for kernel, platform in run_queries.kernels(gate.engine)
    ]
    return render(request, "kernels.html", who, kernels=found)


@router.get("/{kernel:path}")  # a file of kernels is one as well: kernels.py:KERNEL
def kernel(
    request: Request,
    gate: GateHere,
    who: Reader,
    kernel: Annotated[str, Path(max_length=200)],
    platform: Word,
    case: Word,
    by: Literal["commit", "time"] = "commit",
    limit: Annotated[int, Query(ge=1, le=500)] = _RUNS,
) -> HTMLResponse:
    """The trend of one case on one platform."""
    store = Store(gate.engine)
    trend = find_trend(store, kernel, case, platform, limit)
    if trend is None:
        raise HTTPException(404, f"no finished run of case '{case}' of '{kernel}' on '{platform}'")
    changes = [(change, trend.points[change.index]) for change in reversed(trend.changes)]
    return render(
        request,
        "kernel.html",
        who,
        trend=trend,
        cases=trend_cases(store, kernel, platform, _LATELY),
        changes=changes,
        tools={change.index: toolchain_changes(trend, change) for change in trend.changes},
        newest=list(reversed(trend.points))[:_TABLE],
        by=by,
        chart=charts.medians(trend, by == "commit"),
    )
