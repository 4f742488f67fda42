"""Nights: the sweeps on this machine, as a calendar, and the matrix of each."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path as Directory
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from ci.api.access import ApiContext, GateHere
from ci.config import directories
from ci.web.auth.access import Reader
from ci.web.pages import render
from farm import timestamps
from farm.errors import FarmError
from farm.model.sweep import SweepRecord
from farm.report.sweep.figures import MEANING, Mark, by_output
from farm.sweep.journal import PLAN, Journal
from farm.timestamps import moment

router = APIRouter(prefix="/nights")

_WEEKS = 8  # of the calendar
_RECORD = "sweep.json"
_GRAVE = {Mark.OTHER_PROGRAM, Mark.FAILED, Mark.NO_MAJORITY, Mark.UNSTEADY}

SweepId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


@dataclass(frozen=True, slots=True)
class Night:
    """One sweep in the list."""

    id: str
    started_at: str
    verdict: str  # "unfinished" while it goes on, or where it was interrupted
    reason: str
    kernel: str
    platform: str
    devices: int  # planned

    @property
    def day(self) -> date:
        """When it began, in UTC."""
        return moment(self.started_at).date()


@router.get("")
def nights(request: Request, gate: GateHere, who: Reader) -> HTMLResponse:
    """The calendar and the list."""
    found = _nights(gate)
    return render(request, "nights.html", who, nights=found, weeks=_calendar(found), place=str(gate.config.web.sweeps))


@router.get("/{sweep}")
def night(request: Request, gate: GateHere, who: Reader, sweep: SweepId) -> HTMLResponse:
    """One sweep: what it found, and who disagrees with whom."""
    record = _record(gate, sweep)
    heads, squares = by_output(record)
    return render(
        request,
        "night.html",
        who,
        record=record,
        heads=heads,
        squares=squares,
        meaning=MEANING,
        grave=_GRAVE,
        agrees=Mark.AGREES,
    )


def _record(gate: ApiContext, sweep: str) -> SweepRecord:
    paths = [place / sweep / _RECORD for place in _places(gate)]
    path = next((each for each in paths if each.exists()), None)
    if path is None:
        raise HTTPException(404, f"no finished sweep '{sweep}' on this machine")
    try:
        return SweepRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise HTTPException(500, f"sweep '{sweep}' cannot be read: {str(error).splitlines()[0]}") from None


def _places(gate: ApiContext) -> list[Directory]:
    """Where sweeps are: those of `farm sweep` together, and those of schedules each in its job's own directory."""
    return [gate.config.web.sweeps, *directories.sweeps().glob("*")]


def _nights(gate: ApiContext) -> list[Night]:
    """Every sweep on this machine, newest first."""
    plans = (plan for place in _places(gate) for plan in place.glob(f"*/{PLAN}"))
    found = [_night(plan.parent, _stamp(plan.parent)) for plan in plans]
    return sorted((each for each in found if each), key=lambda each: each.started_at, reverse=True)


def _stamp(directory: Directory) -> int:
    """Changes when the sweep ends."""
    try:
        return (directory / _RECORD).stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=1024)
def _night(directory: Directory, ended: int) -> Night | None:
    """One sweep, remembered until it changes; None where its files cannot be read."""
    try:
        plan = Journal(directory).plan()
        record = SweepRecord.model_validate_json((directory / _RECORD).read_bytes()) if ended else None
    except (FarmError, OSError, ValidationError):
        return None
    return Night(
        id=directory.name,
        started_at=plan.started_at,
        verdict=record.verdict.value if record and record.verdict else "unfinished",
        reason=record.reason if record else "",
        kernel=plan.request.kernel,
        platform=plan.request.platform,
        devices=len(plan.devices),
    )


def _calendar(found: Sequence[Night]) -> list[list[tuple[date, list[Night]]]]:
    """The last weeks, newest first, each from Monday to Sunday with the sweeps of each day."""
    of_day: dict[date, list[Night]] = defaultdict(list)
    for each in found:
        of_day[each.day].append(each)
    today = timestamps.utc_now().date()
    monday = today - timedelta(days=today.weekday())
    weeks = [monday - timedelta(weeks=back) for back in range(_WEEKS)]
    return [[(day, of_day[day]) for day in (first + timedelta(days=n) for n in range(7))] for first in weeks]
