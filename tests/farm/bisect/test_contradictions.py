"""A bisect ends where one program took two times on an exact clock: no answer that rests on a time is one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from farm.bisect.executor import CommitTest
from farm.bisect.metrics import ExactWall
from farm.bisect.state import BisectState, ContradictionError
from farm.bisect.targets import CommitMetric
from farm.model.bisect import Answer
from farm.model.program_time import ProgramTime
from jobs.records import TrialRequest
from tests.farm import evidence


class Past:
    """A store that knows the times of some programs."""

    def __init__(self, known: list[ProgramTime]) -> None:
        self.known = known

    def program_times(self, kernel: str, platform: Any, programs: set[tuple[str, str]]) -> dict[str, list[ProgramTime]]:
        return {case: [each for each in self.known if each.program == program] for case, program in programs}


def state(*known: ProgramTime, noisy: bool = False) -> BisectState:
    made = BisectState.__new__(BisectState)
    made.request = cast("Any", SimpleNamespace(kernel="k", case=evidence.CASE))
    made.line = cast("Any", SimpleNamespace(candidates=[SimpleNamespace(commit=str(each) * 40) for each in range(3)]))
    resolved = SimpleNamespace(platform=SimpleNamespace(noisy=noisy, name="sim"))
    made.held = cast("Any", SimpleNamespace(resolved=resolved, store=Past(list(known))))
    made.metric, made.good, made.times = CommitMetric(ExactWall()), (), []
    return made


def ended(position: int, us: float, program: str) -> CommitTest:
    request = TrialRequest(kernel="k", case=evidence.CASE, platform="sim", input_set="documented")
    trials = [evidence.trial("n/0", 0, wall_us=us, fingerprint=program)]
    return CommitTest(position, f"commit-{position}", request, request, (evidence.CASE,), trials)


def test_commits_with_one_program_and_two_times_end_it() -> None:
    made = state()
    made.judged(ended(0, 40.0, "a"), 0)
    made.judged(ended(1, 30.0, "b"), 1)

    with pytest.raises(ContradictionError, match=r"20.00 µs \(222222222222 on n/0\) and 40.00 µs \(000000000000"):
        made.judged(ended(2, 20.0, "a"), 1)


def test_an_earlier_run_counts_as_well() -> None:
    made = state(ProgramTime("a", 80.0, "run 1"))

    with pytest.raises(ContradictionError, match="run 1"):
        made.judged(ended(0, 40.0, "a"), 0)


def test_a_noisy_clock_contradicts_nothing() -> None:
    made = state(ProgramTime("a", 80.0, "run 1"), noisy=True)

    assert made.judged(ended(0, 40.0, "a"), 0).answer is Answer.GOOD
