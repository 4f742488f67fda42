"""A file of a suite that one card gives odd bits of is looked at on another card: a held one first, else a new one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from farm.errors import InfrastructureError
from farm.execution.observer import Observer
from farm.gates.determinism import DeterminismGate
from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.leasing.device_lease import Replaced
from farm.model.run import DeviceRecord, GateStatus
from farm.validation.suite_other_cards import look_elsewhere
from farm.validation.suite_state import SuiteRun
from tests.farm import samples
from tests.farm.evidence import CASE, evidence, trial

DEVICES = [samples.device(index) for index in range(6)]
IDS = [device.id for device in DEVICES]
Bits = Callable[[int], str]  # index of a device → what it computes


class Lease:
    """Holds the first devices; the others are spare, unless it is `lost` where another is asked for."""

    def __init__(self, held: int, spares: int = 0, *, lost: bool = False) -> None:
        self.places = dict(enumerate(DEVICES[:held]))
        self.spares = DEVICES[held : held + spares]
        self.lost = lost

    @property
    def slots(self) -> list[int]:
        return list(self.places)

    def device(self, slot: int) -> DeviceRecord:
        return self.places[slot]

    def replace(self, slot: int) -> Replaced:
        if self.lost:
            raise InfrastructureError("no other is free")
        if not self.spares:
            return Replaced(False, "")
        self.places[slot] = self.spares.pop(0)
        return Replaced(True, "")


class Run:
    """What `look_elsewhere` needs of a run of one file, whose first trials were made on the first `on` devices."""

    def __init__(self, bits: Bits, lease: Lease, on: int, *, repeatable: bool = True, devices: int = 1) -> None:
        self.bits = bits
        self.trials = [self.made(IDS[index], repeat) for repeat in range(2) for index in range(on)]
        self.planned = [PlannedMeasurement(CASE, 0, repeat) for repeat in range(2) for _ in range(on)]
        self.looks: list[str] = []
        self.held = SimpleNamespace(lease=lease)
        self.observer = Observer()
        self.asked = SimpleNamespace(
            found=SimpleNamespace(files={CASE: SimpleNamespace(devices=devices)}), request=SimpleNamespace(repeats=2)
        )
        self.executor = SimpleNamespace(
            can_repeat=lambda file: repeatable,
            blames=defaultdict(lambda: SimpleNamespace(kernel=[])),
            look_again=self.look_again,
        )

    def made(self, device: str, repeat: int) -> Any:
        return trial(device, repeat, digest=self.bits(IDS.index(device)))

    def look_again(self, chosen: Mapping[str, list[str]], repeats: range) -> None:
        (device,) = chosen[CASE]
        self.looks.append(device)
        self.trials += [self.made(device, repeat) for repeat in repeats]

    def evidence(self) -> Evidence:
        return evidence(self.trials, planned=tuple(self.planned))


def looked(run: Run) -> tuple[list[str], GateStatus, str]:
    """On which devices the run looked in addition, and what the gate says then."""
    look_elsewhere(cast(SuiteRun, run))
    gate = DeterminismGate().judge(run.evidence())
    return run.looks, gate.status, gate.findings[0].message if gate.findings else ""


def one_odd(index: int) -> str:
    return "odd" if index == 1 else "same"


def each_second(index: int) -> str:
    return f"of {index % 2}"


def test_held_cards_that_have_not_made_the_file_are_asked_first() -> None:
    looks, status, message = looked(Run(one_odd, Lease(5), on=3))

    assert (looks, status) == (IDS[3:5], GateStatus.ERRORED)
    assert "4 of 5 cards agree on other bits" in message
    assert "two explanations remain, the card computes wrongly or the kernel depends on the device" in message


def test_a_file_that_depends_on_the_device_is_found_out_by_another_card() -> None:
    looks, status, message = looked(Run(each_second, Lease(3, spares=1), on=3))

    assert (looks, status) == (IDS[3:4], GateStatus.FAILED)
    assert "the kernel depends on the device" in message


def test_two_cards_that_disagree_are_told_apart_by_a_third() -> None:
    looks, status, message = looked(Run(one_odd, Lease(3), on=2))

    assert (looks, status) == (IDS[2:3], GateStatus.ERRORED)
    assert "2 of 3 cards agree on other bits" in message


@pytest.mark.parametrize("lease", [Lease(3), Lease(3, lost=True)], ids=["none free", "lost"])
def test_without_another_card_both_explanations_remain(lease: Lease) -> None:
    run = Run(one_odd, lease, on=3)
    looks, status, message = looked(run)

    assert (looks, status, len(run.planned)) == ([], GateStatus.ERRORED, 6)
    assert "two explanations remain" in message


@pytest.mark.parametrize(("repeatable", "devices"), [(False, 1), (True, 2)])
def test_a_file_that_cannot_be_repeated_on_one_device_is_not(repeatable: bool, devices: int) -> None:
    run = Run(one_odd, Lease(5), on=3, repeatable=repeatable, devices=devices)

    assert looked(run)[0] == []


def test_a_file_whose_own_fault_is_proven_and_one_that_agrees_are_not_looked_at() -> None:
    guilty = Run(one_odd, Lease(5), on=3)
    guilty.executor.blames[CASE].kernel.append("proven")

    assert looked(guilty)[0] == []
    assert looked(Run(lambda index: "same", Lease(5), on=3))[:2] == ([], GateStatus.PASSED)
