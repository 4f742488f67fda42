"""Two runs beside each other: times, stages, bits, tunings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from ci.api.access import GateHere
from ci.web.access import Reader
from ci.web.pages import render
from farm.record import RunRecord
from farm.report.figures import CaseTime, case_times, measured, stage_totals
from farm.store import Store

router = APIRouter()

RunName = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True)
class Pair:
    """One number of both runs, µs; None where a run has none."""

    name: str
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        """From A to B as a share of A."""
        return self.b / self.a - 1 if self.a and self.b is not None else None


@dataclass(frozen=True, slots=True)
class CasePair:
    """One case that both runs have."""

    case: str
    a: CaseTime
    b: CaseTime
    time: Pair | None  # None where the two have different clocks
    stages: list[Pair]
    bits: list[str]  # outputs whose commonest digests differ
    knobs: list[tuple[str, str, str]]  # of the tunings, those that differ


@router.get("/compare")
def compare(request: Request, gate: GateHere, who: Reader, a: RunName = "", b: RunName = "") -> HTMLResponse:
    """The page; a run is named by its id or how it begins."""
    store = Store(gate.engine)
    first, second = (store.get(name.strip()) if name.strip() else None for name in (a, b))
    pairs = case_pairs(first, second) if first and second else []
    return render(request, "compare.html", who, a=a, b=b, first=first, second=second, pairs=pairs)


def case_pairs(a: RunRecord, b: RunRecord) -> list[CasePair]:
    """One entry for each case of both runs, in the order of the first."""
    others = {time.case: time for time in case_times(b)}
    return [_pair(a, b, time, others[time.case]) for time in case_times(a) if time.case in others]


def _pair(a: RunRecord, b: RunRecord, first: CaseTime, second: CaseTime) -> CasePair:
    case, same = first.case, first.clock is second.clock
    stages = [{total.stage: total.total_us for total in stage_totals(run, case)} for run in (a, b)]
    digests = [_digests(run, case) for run in (a, b)]
    knobs = [_tuning(run, case) for run in (a, b)]
    return CasePair(
        case=case,
        a=first,
        b=second,
        time=Pair(case, first.median_us, second.median_us) if same else None,
        stages=[Pair(name, stages[0].get(name), stages[1].get(name)) for name in _names(*stages)] if same else [],
        bits=[name for name in _names(*digests) if digests[0].get(name) != digests[1].get(name)],
        knobs=[
            (name, knobs[0].get(name, "–"), knobs[1].get(name, "–"))
            for name in _names(*knobs)
            if knobs[0].get(name) != knobs[1].get(name)
        ],
    )


def _digests(run: RunRecord, case: str) -> dict[str, str]:
    """Output → the digest most trials have."""
    found: dict[str, Counter[str]] = {}
    for trial in measured(run, case):
        for name, output in trial.outputs.items():
            found.setdefault(name, Counter())[output.sha256] += 1
    return {name: digests.most_common(1)[0][0] for name, digests in found.items()}


def _tuning(run: RunRecord, case: str) -> dict[str, str]:
    return {name: str(value) for build in run.builds if build.case == case for name, value in build.tuning.items()}


def _names(*tables: Mapping[str, object]) -> Iterable[str]:
    return dict.fromkeys(name for table in tables for name in table)
