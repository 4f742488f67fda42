"""How often a trial is tried again: per kind of fault, and the same for every workflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.bisect.executor import BisectExecutor, CommitTest
from farm.bisect.metrics import Determinism
from farm.bisect.targets import CommitMetric
from farm.execution import attempts
from farm.execution.executor import TrialExecutor
from farm.execution.observer import Observer
from farm.execution.plan import Plan, PlannedTrial
from farm.harness.executor import HarnessExecutor
from farm.model import attempts as model_attempts
from farm.sweep.executor import SweepExecutor
from farm.sweep.journal import Journal
from farm.sweep.observer import SweepObserver
from farm.sweep.state import State
from farm.tuning.campaign import CampaignExecutor, Point
from jobs.faults.table import TABLE
from jobs.records import Failure, Fault, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock
from kernel.harness.head import Head
from tests.farm.paper_lease import NoDeadlines, PaperLease, PaperTrials
from tests.farm.sweep_samples import fleet
from tests.farm.sweep_samples import plan as sweep_plan

REQUEST = TrialRequest(kernel="k", case="tiny", platform="x", input_set="documented", seed=0)
DIED = Failure(fault=Fault.DEVICE, kind="worker-died", message="gone")


def errored(failure: Failure) -> TrialRecord:
    return TrialRecord(
        case="tiny",
        device="n/0",
        repeat=0,
        attempt=0,
        status=TrialStatus.ERRORED,
        clock=Clock.SIMULATED,
        failure=failure,
    )


@pytest.mark.parametrize(
    ("kind", "fault", "most"),
    [
        ("device-507014", Fault.DEVICE, 3),
        ("device-507899", Fault.DEVICE, 3),
        ("device-507033", Fault.DEVICE, 3),
        ("worker-died", Fault.DEVICE, 3),
        ("unreachable", Fault.NODE, 3),
        ("disk-full", Fault.NODE, 3),
        ("crash", Fault.FARM, 3),
        ("hang", Fault.DEVICE, 2),
        ("killed", Fault.DEVICE, 2),
        ("nothing-measured", Fault.FARM, 1),
        ("orchestrator-10", Fault.FARM, 1),
        ("run-limit", Fault.FARM, 1),
        ("compile", Fault.KERNEL, 1),
        ("of-a-newer-version", Fault.KERNEL, 1),
    ],
)
def test_each_fault_has_its_number_of_attempts(kind: str, fault: Fault, most: int) -> None:
    record = errored(Failure(fault=fault, kind=kind, message=""))

    made = 1
    while attempts.may_retry(record, made - 1):
        made += 1

    assert made == most


def test_nothing_is_ever_tried_more_than_three_times() -> None:
    records = [errored(Failure(fault=row.fault, kind=row.kind, message="")) for row in TABLE]

    assert not any(attempts.may_retry(record, model_attempts.MAX_ATTEMPTS - 1) for record in records)


@pytest.mark.parametrize("status", [TrialStatus.OK, TrialStatus.FAILED])
def test_what_was_measured_or_is_the_programs_fault_is_never_tried_again(status: TrialStatus) -> None:
    record = errored(DIED).model_copy(update={"status": status})

    assert not attempts.may_retry(record, 0)


class _OnePoint:
    """A campaign of one point."""

    def __init__(self) -> None:
        self._left = [Point("one", {})]

    def next(self) -> Point | None:
        return self._left.pop() if self._left else None

    def took(self, point: Point, record: TrialRecord) -> None:
        """Measured."""


def run_once(trials: PaperTrials, where: Path) -> None:
    plan = Plan({"tiny": REQUEST}, (PlannedTrial("tiny", 0, 0),))
    TrialExecutor(trials.lease, trials.paper, NoDeadlines.paper(), Observer(), lambda kept: None).run(plan)


def suite_once(trials: PaperTrials, where: Path) -> None:
    head = Head(runnable=True, devices=1, skipped="", replays=True)
    HarnessExecutor(
        lease=trials.lease,
        in_flight=trials.paper,
        limits=NoDeadlines.paper(),
        observer=Observer(),
        template=REQUEST,
        heads={"a.py": head},
        repeats=1,
        freezes=frozenset(),
        data=where,
        save=lambda trial: None,
    ).run()


def sweep_once(trials: PaperTrials, where: Path) -> None:
    plan = sweep_plan(fleet(1), seeds=[0], repeats=1)
    journal = Journal(where / plan.sweep_id)
    journal.begin(plan)
    state = State.load(plan, journal, deadline=float("inf"))
    SweepExecutor(state, trials.lease, trials.paper, NoDeadlines.paper(), SweepObserver(), lambda kept: None).run()


def bisect_once(trials: PaperTrials, where: Path) -> None:
    probe = CommitTest(0, "c0", REQUEST, REQUEST, ("tiny",))
    BisectExecutor(trials.lease, trials.paper, NoDeadlines.paper(), CommitMetric(Determinism())).test(
        [probe], lambda ended: None
    )


def tune_once(trials: PaperTrials, where: Path) -> None:
    CampaignExecutor(_OnePoint(), trials.lease, trials.paper, REQUEST, NoDeadlines.paper()).run()


@pytest.mark.parametrize("workflow", [run_once, suite_once, sweep_once, bisect_once, tune_once])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_one_change_of_the_policy_changes_all_five_workflows(
    workflow: Callable[[PaperTrials, Path], None], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_attempts, "MAX_ATTEMPTS", most)
    trials = PaperTrials(PaperLease(fleet(1)), lambda device, request, repeat, attempt: DIED)

    workflow(trials, tmp_path)

    assert [attempt for *_, attempt in trials.started] == list(range(most))
