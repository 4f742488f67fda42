"""Whose fault trials are that did not run to the end: another vote, on who could run a case at all. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from farm.analysis.sweep_matrix import Fleet
from farm.gates.votes import witnesses
from farm.model.sweep import Cell, FindingPlace, Kind
from jobs.records import Failure, Fault


@dataclass(frozen=True, slots=True)
class FailureAttribution:
    """One kind of trouble in one place, with the devices it shows on."""

    kind: Kind
    devices: tuple[str, ...]
    place: FindingPlace
    why: str


def failed_trials(cells: Iterable[Cell], fleet: Fleet) -> list[FailureAttribution]:
    """A blame for each device and case with a failed trial.

    A kernel's fault, or a device's, that a minority of the cards has is theirs: the others have shown that the kernel
    runs. What was attributed to the node or the farm stays that.
    """
    ran: dict[str, set[str]] = defaultdict(set)
    failed: dict[str, dict[str, tuple[Failure, int]]] = defaultdict(dict)  # case → device → failure, seed
    for cell in cells:
        if cell.failure is None:
            ran[cell.case].add(cell.device)
        else:
            failed[cell.case].setdefault(cell.device, (cell.failure, cell.seed))
    blames = []
    for case, of_case in failed.items():
        well = witnesses(ran[case] - set(of_case), fleet.cards)
        alone = 2 * well > witnesses(ran[case] | set(of_case), fleet.cards)
        several = witnesses(of_case, fleet.cards) > 1
        for device, (failure, seed) in sorted(of_case.items()):
            kind = _kind(failure, alone=alone, several=several)
            blames.append(
                FailureAttribution(
                    kind, (device,), FindingPlace(case=case, seed=seed), f"{failure.kind}: {failure.message}"
                )
            )
    return blames


def doomed_cases(cells: Iterable[Cell], fleet: Fleet) -> set[str]:
    """Cases that no device can run and that fail on several cards by the kernel's own fault: not worth more trials."""
    ran: set[str] = set()
    failed: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        if cell.failure is None:
            ran.add(cell.case)
        elif cell.failure.fault is Fault.KERNEL:
            failed[cell.case].add(cell.device)
    return {case for case, devices in failed.items() if case not in ran and witnesses(devices, fleet.cards) > 1}


def _kind(failure: Failure, *, alone: bool, several: bool) -> Kind:
    if failure.fault is Fault.KERNEL:
        return Kind.DEVICE_SUSPECT if alone else Kind.KERNEL_FAILS
    if failure.fault is Fault.DEVICE:
        return Kind.KERNEL_FAILS if several and not alone else Kind.FARM
    return Kind.FARM
