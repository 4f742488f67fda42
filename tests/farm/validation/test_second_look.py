"""Where one odd card and a kernel that depends on the device look alike, another card decides, or both are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from farm.errors import InfrastructureError
from farm.execution import plan
from farm.execution.deadlines import RunDeadlines
from farm.execution.observer import Observer
from farm.execution.plan import Plan
from farm.execution.session import Session
from farm.gates.determinism import DeterminismGate
from farm.leasing.device_lease import Replaced
from farm.model.device_health import EventKind, HealthEvent
from farm.model.run import DeviceRecord, Finding, GateStatus, RunRequest
from farm.model.timeouts import Timeouts
from farm.validation.second_look import look_again
from farm.validation.state import RunState
from kernel.clock import Clock
from tests.farm import samples
from tests.farm.evidence import CASE, trial

DEVICES = [samples.device(index) for index in range(5)]
IDS = [device.id for device in DEVICES]
Bits = Callable[[int], str]  # index of a device → what it computes


class Lease:
    """Holds devices, one a slot, and has spare ones; the device that is left may fail its canary."""

    queue_s = 0.0

    def __init__(self, held: int, spares: int, unfit: str = "", *, lost: bool = False) -> None:
        self.held = DEVICES[:held]
        self.spares = DEVICES[held : held + spares]
        self.places = dict(enumerate(self.held))
        self.unfit = unfit
        self.lost = lost

    @property
    def slots(self) -> list[int]:
        return list(self.places)

    def device(self, slot: int) -> DeviceRecord:
        return self.places[slot]

    def replace(self, slot: int) -> Replaced:
        if self.lost:
            del self.places[slot]
            raise InfrastructureError("no other is free")
        if not self.spares:
            return Replaced(False, self.unfit)
        self.places[slot] = self.spares.pop(0)
        self.held = [*self.held, self.places[slot]]
        return Replaced(True, self.unfit)


def run_of(tmp_path: Path, bits: Bits, lease: Lease) -> tuple[RunState, list[HealthEvent]]:
    """A run that has looked as often as it looks, and what it noted of its devices."""
    noted: list[HealthEvent] = []
    request = RunRequest(
        kernel="k", cases=[CASE], platform="p", devices=len(lease.held), repeats=2, input_set="documented", seed=3
    )
    resolved = SimpleNamespace(
        request=request,
        platform=SimpleNamespace(name="p", clock=Clock.SIMULATED, noisy=False),
        kernel=SimpleNamespace(output_specs=lambda case: [SimpleNamespace(name="q")]),
        budgets={},
        programs=None,
    )
    store = SimpleNamespace(
        save_trials=lambda run, trials: None,
        observe=lambda events: noted.extend(each for each in events if each.kind is not EventKind.TRIAL_OK),
        device_history=lambda platform, device, limit: [],
    )
    session = cast(Session, SimpleNamespace(resolved=resolved, lease=lease, store=store))
    limits = RunDeadlines(Timeouts(), cast(Any, lease))
    going = RunState("r", session, tmp_path, "2026-11-30", Observer(), limits, resumed=None)
    going.plans.append(plan.make(request, warm_up=False))
    going.builds.append(samples.build(case=CASE, fingerprint="f" * 64))

    def make(extra: Plan) -> None:
        going.keep(
            [
                trial(lease.device(each.slot).id, each.repeat, digest=bits(IDS.index(lease.device(each.slot).id)))
                for each in extra.trials
            ]
        )

    going.execution = cast(
        Any, SimpleNamespace(run=make, replaced=lambda *_: None, blame=SimpleNamespace(kernel=[]), problems=[])
    )
    make(going.plans[0])
    look_again(going)
    return going, noted


def judged(going: RunState) -> tuple[GateStatus, Finding]:
    gate = DeterminismGate().judge(going.evidence())
    return gate.status, gate.findings[0]


def one_odd(index: int) -> str:
    return "odd" if index == 1 else "same"


def each_second(index: int) -> str:
    return f"of {index % 2}"


@pytest.mark.parametrize("held", [2, 3])
def test_a_kernel_that_depends_on_the_device_is_found_out_by_another_card(held: int, tmp_path: Path) -> None:
    going, noted = run_of(tmp_path, each_second, Lease(held, spares=2))

    status, finding = judged(going)
    assert status is GateStatus.FAILED
    assert "the kernel depends on the device" in finding.message
    assert noted == []


def test_a_card_that_is_always_odd_leaves_two_explanations_and_is_not_taken_out_of_work(tmp_path: Path) -> None:
    going, noted = run_of(tmp_path, one_odd, Lease(3, spares=2))

    status, finding = judged(going)
    assert (status, finding.device) == (GateStatus.ERRORED, IDS[1])
    assert "twice looked at: 3 of 4 cards agree on other bits" in finding.message
    assert "two explanations remain, the card computes wrongly or the kernel depends on the device" in finding.message
    assert [(event.device, event.kind) for event in noted] == [(IDS[1], EventKind.CLAIMED)]
    assert "either the card computes wrongly or the kernel depends on the device" in noted[0].reason


def test_two_cards_that_disagree_are_told_apart_by_a_third(tmp_path: Path) -> None:
    going, _ = run_of(tmp_path, one_odd, Lease(2, spares=2))

    status, finding = judged(going)
    assert (status, finding.device) == (GateStatus.ERRORED, IDS[1])
    assert "3 of 4 cards agree on other bits" in finding.message


def test_an_odd_device_that_fails_its_canary_is_at_fault(tmp_path: Path) -> None:
    going, _ = run_of(tmp_path, one_odd, Lease(3, spares=1, unfit="n0/1"))

    status, finding = judged(going)
    assert status is GateStatus.ERRORED
    assert "it failed its canary as well, so its card is at fault" in finding.message
    assert "explanations remain" not in finding.message


@pytest.mark.parametrize("lease", [Lease(3, spares=0), Lease(3, spares=0, lost=True)], ids=["none free", "lost"])
def test_without_another_card_both_explanations_remain(lease: Lease, tmp_path: Path) -> None:
    going, _ = run_of(tmp_path, one_odd, lease)

    status, finding = judged(going)
    assert status is GateStatus.ERRORED
    assert "twice looked at: 2 of 3 cards" in finding.message
    assert "two explanations remain" in finding.message
    assert len(going.plans) == 2


def test_devices_that_agree_are_looked_at_once(tmp_path: Path) -> None:
    going, noted = run_of(tmp_path, lambda index: "same", Lease(3, spares=2))

    assert len(going.plans) == 1
    assert DeterminismGate().judge(going.evidence()).status is GateStatus.PASSED
    assert noted == []
