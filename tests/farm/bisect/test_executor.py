"""Which commit is tested on which slot, on a lease and trials in flight that exist on paper only."""

from __future__ import annotations

import pytest

from farm.bisect.executor import BisectExecutor, CommitTest
from farm.bisect.metrics import Determinism
from farm.bisect.targets import CommitMetric
from farm.errors import InfrastructureError
from jobs.records import Failure, Fault, TrialRequest
from tests.farm.paper_lease import NoDeadlines, PaperLease, PaperTrials
from tests.farm.sweep_samples import fleet

REQUEST = TrialRequest(kernel="k", case="tiny", platform="x", input_set="documented", seed=0)


def devices_after(slots: int, commits: int) -> list[list[str]]:
    """The devices of each commit's trials, by commit."""
    trials = PaperTrials(PaperLease(fleet(slots)))
    probes = [CommitTest(position, f"c{position}", REQUEST, REQUEST, ("tiny",)) for position in range(commits)]
    ended: list[CommitTest] = []
    BisectExecutor(trials.lease, trials.paper, NoDeadlines.paper(), CommitMetric(Determinism())).test(
        probes, ended.append
    )
    assert sorted(probe.position for probe in ended) == list(range(commits))
    return [[trial.device for trial in probe.trials] for probe in probes]


def test_a_commit_lost_with_its_device_begins_again_on_another_and_keeps_nothing_of_the_first() -> None:
    first, second = fleet(2)
    died = Failure(fault=Fault.DEVICE, kind="worker-died", message="gone")
    trials = PaperTrials(
        PaperLease([first], [second]),
        lambda device, request, repeat, attempt: died if (device, repeat) == (first.id, 1) else None,
    )
    probe = CommitTest(0, "c0", REQUEST, REQUEST, ("tiny",))

    BisectExecutor(trials.lease, trials.paper, NoDeadlines.paper(), CommitMetric(Determinism())).test(
        [probe], lambda ended: None
    )

    assert [(trial.device, trial.repeat) for trial in probe.trials] == [(second.id, repeat) for repeat in range(3)]


def test_without_any_device_left_the_bisect_says_so() -> None:
    lease = PaperLease(fleet(1))
    lease.broken = True
    died = Failure(fault=Fault.DEVICE, kind="worker-died", message="gone")
    trials = PaperTrials(lease, lambda *_: died)
    probes = [CommitTest(position, f"c{position}", REQUEST, REQUEST, ("tiny",)) for position in range(2)]
    ended: list[CommitTest] = []

    with pytest.raises(InfrastructureError, match="every device of the lease failed"):
        BisectExecutor(trials.lease, trials.paper, NoDeadlines.paper(), CommitMetric(Determinism())).test(
            probes, ended.append
        )

    assert ended == probes[:1]


@pytest.mark.parametrize(("slots", "commits"), [(2, 1), (2, 2), (3, 3), (2, 5)])
def test_each_commit_has_one_trial_on_another_device_at_last(slots: int, commits: int) -> None:
    for devices in devices_after(slots, commits):
        own, (other,) = devices[:3], devices[3:]
        assert len(set(own)) == 1
        assert other not in own


def test_on_a_single_device_a_commit_ends_with_its_own_repeats() -> None:
    assert devices_after(1, 2) == [["node0/0"] * 3] * 2


def test_a_commit_with_several_targets_moves_once_for_all_of_them() -> None:
    trials = PaperTrials(PaperLease(fleet(2)))
    probes = [CommitTest(position, f"c{position}", REQUEST, REQUEST, ("a", "b")) for position in range(2)]

    work = BisectExecutor(trials.lease, trials.paper, NoDeadlines.paper(), CommitMetric(Determinism()))
    work.test(probes, lambda ended: None)

    for probe in probes:
        home, *others = dict.fromkeys(trial.device for trial in probe.trials)
        made = [(trial.case, trial.repeat, trial.device) for trial in probe.trials]
        own = [(case, repeat, home) for case in ("a", "b") for repeat in range(3)]
        assert made == [*own, *((case, 3, others[0]) for case in ("a", "b"))]


@pytest.mark.parametrize(("fault", "renewed"), [(Fault.KERNEL, []), (Fault.FARM, ["node0/0"])])
def test_a_program_that_fails_leaves_the_workers_process_as_it_was(fault: Fault, renewed: list[str]) -> None:
    wrong = Failure(fault=fault, kind="nothing-measured", message="as told")
    trials = PaperTrials(PaperLease(fleet(1)), lambda *_: wrong)
    probe = CommitTest(0, "c0", REQUEST, REQUEST, ("tiny",))

    BisectExecutor(trials.lease, trials.paper, NoDeadlines.paper(), CommitMetric(Determinism())).test(
        [probe], lambda ended: None
    )

    assert trials.on.renewed == renewed
