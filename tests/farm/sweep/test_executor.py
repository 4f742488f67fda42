"""One lease of a sweep, on devices that answer at once: warm-ups, second tries, fresh processes, devices left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from farm.model.sweep import Cell
from farm.sweep.executor import WARM_UP, SweepExecutor
from farm.sweep.journal import Journal
from farm.sweep.observer import SweepObserver
from farm.sweep.state import State
from jobs.records import Failure, Fault, TrialRequest
from tests.farm.paper_lease import NoDeadlines, PaperLease, PaperTrials
from tests.farm.sweep_samples import CASE, fleet, plan

Answer = Callable[[str, int, int], "Fault | None"]  # device, repeat, attempt → what goes wrong


def execute(
    tmp_path: Path, lease: PaperLease, answer: Answer, *, planned: int, noisy: bool = False, suite: str = ""
) -> tuple[State, list[tuple[str, int, int]]]:
    """What the state knows after the lease, and its trials: device, repeat, attempt."""

    def failure(device: str, asked: TrialRequest, repeat: int, attempt: int) -> Failure | None:
        fault = answer(device, repeat, attempt)
        return Failure(fault=fault, kind="hang", message="as told") if fault else None

    begun = plan(fleet(planned), noisy, suite=suite)
    journal = Journal(tmp_path / "s1")
    journal.begin(begun)
    state = State.load(begun, journal, deadline=float("inf"))
    trials = PaperTrials(lease, failure)
    deadlines = NoDeadlines.paper()
    SweepExecutor(state, trials.lease, trials.paper, deadlines, SweepObserver(), lambda kept: None).run()
    return state, [(device, repeat, attempt) for device, _, repeat, attempt in trials.started]


def well(device: str, repeat: int, attempt: int) -> Fault | None:
    return None


def test_each_device_makes_its_trials_and_no_more(tmp_path: Path) -> None:
    state, started = execute(tmp_path, PaperLease(fleet(2)), well, planned=3)

    assert sorted(started) == [(f"node0/{index}", repeat, 0) for index in (0, 1) for repeat in (0, 1)]
    assert list(state.due()) == ["node1/0"]
    assert len(state.journal.recover()) == 4


def test_what_lands_together_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    append = Journal.append

    def counted(journal: Journal, cells: Iterable[Cell]) -> None:
        written.append(len(list(cells)))
        append(journal, cells)

    monkeypatch.setattr(Journal, "append", counted)
    execute(tmp_path, PaperLease(fleet(4)), well, planned=4)

    assert [number for number in written if number] == [4, 4]


def test_a_noisy_platform_warms_up_once_a_process_and_keeps_its_bits(tmp_path: Path) -> None:
    state, started = execute(tmp_path, PaperLease(fleet(1)), well, planned=1, noisy=True)

    assert [repeat for _, repeat, _ in started] == [WARM_UP, 0, 1]
    assert [each.repeat for each in state.cells] == [-1, 0, 1]


def test_a_lost_trial_is_made_again_on_the_same_device_in_a_fresh_process(tmp_path: Path) -> None:
    lease = PaperLease(fleet(1))

    state, started = execute(
        tmp_path,
        lease,
        lambda device, repeat, attempt: Fault.DEVICE if (repeat, attempt) == (0, 0) else None,
        planned=1,
    )

    assert started == [("node0/0", 0, 0), ("node0/0", 0, 1), ("node0/0", 1, 0)]
    assert lease.renewed == ["node0/0"]
    assert [each.failure for each in state.cells] == [None, None]


def test_a_lost_warm_up_counts_as_its_trial(tmp_path: Path) -> None:
    state, _ = execute(tmp_path, PaperLease(fleet(1)), lambda *_: Fault.DEVICE, planned=1, noisy=True)

    assert [(each.repeat, each.failure is None) for each in state.cells] == [(0, False), (1, False)]


def test_a_device_that_loses_two_trials_is_left_alone(tmp_path: Path) -> None:
    state, started = execute(tmp_path, PaperLease(fleet(1)), lambda *_: Fault.NODE, planned=1)

    assert [attempt for *_, attempt in started] == [0, 1, 0, 1]
    assert "2 trials in a row failed: as told" in state.gone["node0/0"]
    assert state.due() == {}


def test_a_kernels_failure_is_kept_and_never_tried_again(tmp_path: Path) -> None:
    state, started = execute(tmp_path, PaperLease(fleet(1)), lambda *_: Fault.KERNEL, planned=1)

    assert [(repeat, attempt) for _, repeat, attempt in started] == [(0, 0), (1, 0)]
    assert len(state.cells) == 2


@pytest.mark.parametrize(("suite", "fresh"), [("", 2), ("mine.toml", 0)])
def test_a_suites_file_that_fails_leaves_the_workers_process_as_it_was(suite: str, fresh: int, tmp_path: Path) -> None:
    lease = PaperLease(fleet(1))

    execute(tmp_path, lease, lambda *_: Fault.KERNEL, planned=1, suite=suite)

    assert len(lease.renewed) == fresh


def test_a_case_that_several_devices_cannot_run_is_given_up(tmp_path: Path) -> None:
    state, started = execute(tmp_path, PaperLease(fleet(2)), lambda *_: Fault.KERNEL, planned=4)

    assert len(started) == 2, "one on each device, and no second repeat"
    assert (state.doomed, state.due()) == ({CASE}, {})


@pytest.mark.parametrize(
    ("unfit", "why"), [(True, "its canary failed"), (False, "it could no longer be used")], ids=["unfit", "overloaded"]
)
def test_a_slot_that_moves_does_the_work_of_its_new_device_and_not_of_the_old(
    tmp_path: Path, unfit: bool, why: str
) -> None:
    devices = fleet(2)
    lease = PaperLease(devices[:1], devices[1:])
    lease.moves_when_renewed = True
    lease.unfit_when_moved = unfit

    state, started = execute(
        tmp_path, lease, lambda device, *_: Fault.DEVICE if device == devices[0].id else None, planned=2
    )

    assert started == [(devices[0].id, 0, 0), (devices[1].id, 0, 0), (devices[1].id, 1, 0)]
    assert state.gone == {devices[0].id: why}
    assert state.unfit == ({devices[0].id} if unfit else set())
    assert {each.device for each in state.cells} == {devices[1].id}


def test_a_device_that_gets_no_process_any_more_is_left_alone(tmp_path: Path) -> None:
    lease = PaperLease(fleet(1))
    lease.broken = True

    state, _ = execute(tmp_path, lease, lambda *_: Fault.DEVICE, planned=1)

    assert state.gone == {"node0/0": "the worker did not start"}


@pytest.mark.parametrize("suspect", [0, 3])
def test_a_suspect_looks_again_in_a_fresh_process_beside_a_steady_device(tmp_path: Path, suspect: int) -> None:
    lease = PaperLease(fleet(4))
    odd = fleet(4)[suspect].id

    def one_fails(device: str, repeat: int, attempt: int) -> Fault | None:
        return Fault.KERNEL if device == odd else None

    _, started = execute(tmp_path, lease, one_fails, planned=4)

    again = {device for device, repeat, _ in started if repeat >= 2}
    assert odd in again
    assert len(again) == 2
    assert again <= set(lease.renewed)
