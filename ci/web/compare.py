"""Two runs beside each other, in the words of `farm compare`: whatever one says of two runs, the other does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ci.api.access import GateHere
from ci.web.auth.access import Reader
from ci.web.pages import render
from farm.analysis import comparison
from farm.analysis.comparison import RunComparison
from farm.errors import UnknownRunError, UsageError
from farm.report.comparison import bits, remarks, stages, times
from farm.store import run_lookup

router = APIRouter()

RunName = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")]


@router.get("/compare")
def compare(request: Request, gate: GateHere, who: Reader, a: RunName = "", b: RunName = "") -> HTMLResponse:
    """The page; a run is named by its id or how it begins, or by a commit, which stands for its newest that passed."""
    found, refused, status = None, "", 200
    try:
        left, right = (run_lookup.find(gate.engine, name.strip()) if name.strip() else None for name in (a, b))
        found = comparison.compare(left, right) if left and right else None
    except UsageError as error:
        refused, status = str(error), 404 if isinstance(error, UnknownRunError) else 422
    shown: dict[str, Any] = {"a": a, "b": b, "found": found, "refused": refused}
    return render(request, "compare.html", who, status, **shown, **(_rows(found) if found else {}))


def _rows(found: RunComparison) -> dict[str, Any]:
    return {
        "times": list(zip(found.cases, times(found), strict=True)),
        "stages": [(case.case, stages(case)) for case in found.cases if case.stages],
        "bits": [line for case in found.cases for line in bits(case)],
        "remarks": remarks(found),
        "sides": (("A", found.left), ("B", found.right)),
    }
