"""What the merge base of a suite's commit is run for, and what comparing with it comes to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from farm.execution.failure_policy import FailurePolicy
from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.harness.file_selection import Found
from farm.model.run import GateStatus, SourceRequest
from farm.source.suite_commits import SuiteCommits
from farm.validation.suite_base import other_tools, regression, said_of_base, trials_of_base
from jobs.records import Arm, ClaimRecord, Fault, TrialRecord
from jobs.sandbox.source_tree import Tree
from kernel.clock import Clock
from kernel.harness.head import Head
from kernel.harness.profile import Timing
from tests.fakes.harness import shipped
from tests.farm import evidence as samples

HEAD = Head(runnable=True, devices=1, skipped="", replays=False)
FOUND = Found({"a.py": HEAD, "new.py": HEAD}, {}, 0)
REQUEST = SourceRequest(repository="/r", commit="c" * 40, base="b" * 40)
WITH_BASE = SuiteCommits(REQUEST, Tree.of(".", {"a.py": b"2", "new.py": b"1"}), Tree.of(".", {"a.py": b"1"}), "")


def trial(
    us: float | None, *, arm: Arm = Arm.HEAD, repeat: int = 0, passed: bool = True, sha256: str = ""
) -> TrialRecord:
    claim = ClaimRecord(passed=passed, sha256=sha256)
    made = samples.trial("n/0", repeat, wall_us=us)
    return made.model_copy(update={"case": "a.py", "arm": arm, "outputs": {}, "claims": {"out": claim}})


def judged(
    head: Sequence[TrialRecord], base: Sequence[TrialRecord], timed: dict[str, int], **blames: FailurePolicy
) -> GateStatus:
    arms = (Arm.HEAD, Arm.BASE)
    planned = tuple(PlannedMeasurement("a.py", 0, repeat, arm) for repeat in range(len(head)) for arm in arms)
    whole = Evidence(("a.py",), Clock.SIMULATED, False, tuple(head), {"a.py": ("out",)}, planned)
    gate = regression(
        whole,
        base,
        timed,
        {"a.py": blames.get("of_head", FailurePolicy())},
        {"a.py": blames.get("of_base", FailurePolicy())},
    )
    return gate.judge(whole).status


def failing() -> FailurePolicy:
    policy = FailurePolicy()
    policy.take(samples.lost("n/0", 0, "compile", Fault.KERNEL), "n/0")
    return policy


@pytest.mark.parametrize(
    ("timing", "count"), [(Timing.SIMULATED, 9), (Timing.MEASURED, 9), (Timing.HOST, 1)], ids=lambda each: str(each)
)
def test_the_base_is_run_as_often_as_the_head_unless_its_times_rank_nothing(timing: Timing, count: int) -> None:
    assert trials_of_base(FOUND, WITH_BASE, shipped(), 9, timing) == {"a.py": count}


def test_without_a_base_nothing_of_it_is_run() -> None:
    alone = SuiteCommits(REQUEST, WITH_BASE.head, None, "the files are those of the merge base")

    assert trials_of_base(FOUND, None, shipped(), 9, Timing.MEASURED) == {}
    assert trials_of_base(FOUND, alone, shipped(), 9, Timing.MEASURED) == {}


@pytest.mark.parametrize(
    ("head_us", "base_us", "status"),
    [
        (10.0, 10.0, GateStatus.PASSED),
        (10.1, 10.0, GateStatus.FAILED),
        (9.0, 10.0, GateStatus.PASSED),
        (10.0, None, GateStatus.ERRORED),
        (None, 10.0, GateStatus.ERRORED),
        (None, None, GateStatus.NOT_APPLICABLE),
    ],
)
def test_a_time_that_one_of_the_two_lacks_is_no_pass(
    head_us: float | None, base_us: float | None, status: GateStatus
) -> None:
    assert judged([trial(head_us)], [trial(base_us, arm=Arm.BASE)], {"a.py": 1}) is status


def test_what_fails_is_compared_with_nothing() -> None:
    both = [trial(20.0)], [trial(10.0, arm=Arm.BASE)]

    assert judged(*both, {}) is GateStatus.NOT_APPLICABLE
    assert judged(*both, {"a.py": 1}, of_head=failing()) is GateStatus.NOT_APPLICABLE
    assert judged(*both, {"a.py": 1}, of_base=failing()) is GateStatus.NOT_APPLICABLE
    assert judged([trial(20.0, passed=False)], both[1], {"a.py": 1}) is GateStatus.NOT_APPLICABLE
    assert judged(*both, {"a.py": 1}) is GateStatus.FAILED


def test_a_base_that_was_lost_is_errored() -> None:
    lost = samples.lost("n/0", 0, "hang", Fault.DEVICE).model_copy(update={"case": "a.py", "arm": Arm.BASE})

    assert judged([trial(10.0)], [lost], {"a.py": 1}) is GateStatus.ERRORED


@pytest.mark.parametrize(
    ("head", "base", "told"),
    [
        ([trial(1.0)], [], ""),
        ([trial(1.0)], [trial(1.0)], "the merge base passes"),
        ([trial(1.0, sha256="x")], [trial(1.0, sha256="x")], "the merge base passes with the same bits"),
        ([trial(1.0, sha256="x")], [trial(1.0, sha256="y")], "the merge base passes with other bits"),
        ([trial(1.0, passed=False)], [trial(1.0, passed=False)], "the merge base fails too: out"),
    ],
)
def test_what_the_base_made_of_a_file_is_said(head: list[TrialRecord], base: list[TrialRecord], told: str) -> None:
    assert said_of_base("a.py", head, base) == told


def test_a_base_that_was_not_measured_says_why() -> None:
    lost = samples.lost("n/0", 0, "compile", Fault.KERNEL).model_copy(update={"case": "a.py"})

    assert (
        said_of_base("a.py", [], [lost])
        == f"the merge base was not measured either: {lost.failure and lost.failure.message}"
    )


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ({}, ""),
        ({"cc": "1"}, ""),
        ({"cc": "0", "ld": "3"}, "the toolchain of the merge base was another: cc 0, now 1; ld 3, now none"),
    ],
)
def test_a_base_with_another_toolchain_is_said_to_have_it(base: dict[str, str], told: str) -> None:
    assert other_tools({"cc": "1", "as": "2"}, base) == told
