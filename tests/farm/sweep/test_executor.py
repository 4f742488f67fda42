"""One lease of a sweep, on devices that answer at once: warm-ups, second tries, fresh processes, devices left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from farm.errors import InfrastructureError
from farm.execution.in_flight import TrialOutcome
from farm.model.run import DeviceRecord
from farm.model.sweep import SweepPlan
from farm.sweep.executor import WARM_UP, SweepExecutor
from farm.sweep.journal import Journal
from farm.sweep.observer import SweepObserver
from farm.sweep.state import State
from jobs.records import Failure, Fault, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock
from tests.farm.sweep_samples import CASE, fleet, request

Answer = Callable[[str, int, int], Fault | None]  # device, repeat, attempt → what goes wrong


class FakeLease:
    """Holds `devices`, one a slot; `spare` is what a slot moves to when its device's canary fails on renewal."""

    yields = False

    def __init__(self, devices: list[DeviceRecord]) -> None:
        self.held = dict(enumerate(devices))
        self.slots = list(self.held)
        self.renewed: list[str] = []
        self.spare: DeviceRecord | None = None
        self.broken = False

    def device(self, slot: int) -> DeviceRecord:
        return self.held[slot]

    def renew(self, slot: int) -> None:
        self.renewed.append(self.held[slot].id)
        if self.broken:
            raise InfrastructureError("the worker did not start")
        if self.spare is not None:
            self.held[slot] = self.spare


class FakeFlights:
    """Every trial lands in the next round, as `answer` says."""

    def __init__(self, lease: FakeLease, answer: Answer) -> None:
        self.lease = lease
        self.answer = answer
        self.flying: list[TrialOutcome] = []
        self.started: list[tuple[str, int, int]] = []  # device, repeat, attempt

    @property
    def busy(self) -> bool:
        return bool(self.flying)

    def start(self, slot: int, label: str, asked: TrialRequest, repeat: int, attempt: int) -> None:
        device = self.lease.device(slot).id
        self.started.append((device, repeat, attempt))
        fault = self.answer(device, repeat, attempt)
        record = TrialRecord(
            case=asked.case,
            device=device,
            repeat=repeat,
            attempt=attempt,
            seed=asked.seed,
            status={None: TrialStatus.OK, Fault.KERNEL: TrialStatus.FAILED}.get(fault, TrialStatus.ERRORED),
            clock=Clock.SIMULATED,
            failure=Failure(fault=fault, kind="hang", message="as told") if fault else None,
        )
        flight: Any = type("Flight", (), {"repeat": repeat, "attempt": attempt, "request": asked})
        self.flying.append(TrialOutcome(slot, flight, record))

    def poll(self) -> list[TrialOutcome]:
        outcome, self.flying = self.flying, []
        return outcome


def execute(
    tmp_path: Path, lease: FakeLease, answer: Answer, *, planned: int, noisy: bool = False
) -> tuple[State, Any]:
    """What the state knows after the wave, and its trials."""
    plan = SweepPlan(
        sweep_id="s1",
        request=request(),
        clock=Clock.SIMULATED,
        noisy=noisy,
        commit="unknown",
        toolchain={},
        addresses={CASE: "a"},
        outputs={CASE: ["kv"]},
        devices=[each.id for each in fleet(planned)],
        quarantined=[],
        started_at="2026-11-24T01:00:00+00:00",
    )
    journal = Journal(tmp_path / "s1")
    journal.begin(plan)
    state = State.load(plan, journal, deadline=float("inf"))
    in_flight = FakeFlights(lease, answer)
    stand_in: Any = lease
    flying: Any = in_flight
    SweepExecutor(state, stand_in, flying, SweepObserver(), lambda trials: None).run()
    return state, in_flight


def well(device: str, repeat: int, attempt: int) -> Fault | None:
    return None


def test_each_device_makes_its_trials_and_no_more(tmp_path: Path) -> None:
    state, in_flight = execute(tmp_path, FakeLease(fleet(2)), well, planned=3)

    assert sorted(in_flight.started) == [(f"node0/{index}", repeat, 0) for index in (0, 1) for repeat in (0, 1)]
    assert list(state.due()) == ["node1/0"]
    assert len(state.journal.recover()) == 4


def test_a_noisy_platform_warms_up_once_a_process_and_keeps_none_of_it(tmp_path: Path) -> None:
    state, in_flight = execute(tmp_path, FakeLease(fleet(1)), well, planned=1, noisy=True)

    assert [repeat for _, repeat, _ in in_flight.started] == [WARM_UP, 0, 1]
    assert [each.repeat for each in state.cells] == [0, 1]


def test_a_lost_trial_is_made_again_on_the_same_device_in_a_fresh_process(tmp_path: Path) -> None:
    lease = FakeLease(fleet(1))

    state, in_flight = execute(
        tmp_path,
        lease,
        lambda device, repeat, attempt: Fault.DEVICE if (repeat, attempt) == (0, 0) else None,
        planned=1,
    )

    assert in_flight.started == [("node0/0", 0, 0), ("node0/0", 0, 1), ("node0/0", 1, 0)]
    assert lease.renewed == ["node0/0"]
    assert [each.failure for each in state.cells] == [None, None]


def test_a_lost_warm_up_counts_as_its_trial(tmp_path: Path) -> None:
    state, _ = execute(tmp_path, FakeLease(fleet(1)), lambda *_: Fault.DEVICE, planned=1, noisy=True)

    assert [(each.repeat, each.failure is None) for each in state.cells] == [(0, False), (1, False)]


def test_a_device_that_loses_two_trials_is_left_alone(tmp_path: Path) -> None:
    state, in_flight = execute(tmp_path, FakeLease(fleet(1)), lambda *_: Fault.NODE, planned=1)

    assert [attempt for *_, attempt in in_flight.started] == [0, 1, 0, 1]
    assert "2 trials in a row failed: as told" in state.gone["node0/0"]
    assert state.due() == {}


def test_a_kernels_failure_is_kept_and_never_tried_again(tmp_path: Path) -> None:
    state, in_flight = execute(tmp_path, FakeLease(fleet(1)), lambda *_: Fault.KERNEL, planned=1)

    assert [(repeat, attempt) for _, repeat, attempt in in_flight.started] == [(0, 0), (1, 0)]
    assert len(state.cells) == 2


def test_a_case_that_several_devices_cannot_run_is_given_up(tmp_path: Path) -> None:
    state, in_flight = execute(tmp_path, FakeLease(fleet(2)), lambda *_: Fault.KERNEL, planned=4)

    assert len(in_flight.started) == 2, "one on each device, and no second repeat"
    assert (state.doomed, state.due()) == ({CASE}, {})


def test_a_slot_that_moves_does_the_work_of_its_new_device_and_not_of_the_old(tmp_path: Path) -> None:
    devices = fleet(2)
    lease = FakeLease(devices[:1])
    lease.spare = devices[1]

    state, in_flight = execute(
        tmp_path, lease, lambda device, *_: Fault.DEVICE if device == devices[0].id else None, planned=2
    )

    assert in_flight.started == [(devices[0].id, 0, 0), (devices[1].id, 0, 0), (devices[1].id, 1, 0)]
    assert state.gone == {devices[0].id: "its canary failed"}
    assert {each.device for each in state.cells} == {devices[1].id}


def test_a_device_that_gets_no_process_any_more_is_left_alone(tmp_path: Path) -> None:
    lease = FakeLease(fleet(1))
    lease.broken = True

    state, _ = execute(tmp_path, lease, lambda *_: Fault.DEVICE, planned=1)

    assert state.gone == {"node0/0": "the worker did not start"}


@pytest.mark.parametrize("suspect", [0, 3])
def test_a_suspect_looks_again_in_a_fresh_process_beside_a_steady_device(tmp_path: Path, suspect: int) -> None:
    lease = FakeLease(fleet(4))
    odd = fleet(4)[suspect].id

    def one_fails(device: str, repeat: int, attempt: int) -> Fault | None:
        return Fault.KERNEL if device == odd else None

    _, in_flight = execute(tmp_path, lease, one_fails, planned=4)

    again = {device for device, repeat, _ in in_flight.started if repeat >= 2}
    assert odd in again
    assert len(again) == 2
    assert again <= set(lease.renewed)
