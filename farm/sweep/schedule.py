"""What a sweep still has to do on each device: the first look, and the second where one look proves nothing. Pure.

It is computed from the cells that are there, so a resumed sweep needs nothing else to know where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from farm.analysis.sweep_matrix import Fleet
from farm.model.sweep import Cell, SweepFinding, SweepRequest


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One trial to be made."""

    case: str
    seed: int
    repeat: int


def first_look(request: SweepRequest) -> list[SweepCell]:
    """What every device does, a whole seed first: a sweep cut short has at least compared everything once."""
    return [
        SweepCell(case, seed, repeat)
        for seed in request.seeds
        for case in request.cases
        for repeat in range(request.repeats)
    ]


def job_of(cell: Cell) -> SweepCell:
    """The job a cell is the answer to."""
    return SweepCell(cell.case, cell.seed, cell.repeat)


def due(
    request: SweepRequest,
    devices: Iterable[str],
    done: Mapping[str, Collection[SweepCell]],
    findings: Sequence[SweepFinding],
    fleet: Fleet,
    at_hand: Collection[str] = (),
    others: Mapping[str, Sequence[SweepCell]] = MappingProxyType({}),
) -> dict[str, list[SweepCell]]:
    """Device → what it still has to do; devices with nothing to do are left out.

    `others` are devices that the request does not name, each with what it does in place of a first look.

    `done` are the jobs that need not be done again. Once a device has had its first look, it takes a second one where
    a finding about it is not confirmed, and a device that nothing speaks against does the same jobs beside it: one of
    `at_hand` if there is one, since the two should be asked at the same time.
    """
    jobs = first_look(request)
    asked = {**dict.fromkeys(devices, jobs), **others}
    left = {device: [job for job in first if job not in done.get(device, ())] for device, first in asked.items()}
    for finding in findings:
        if finding.confirmed:
            continue
        again = _again(finding, request)
        control = _control(findings, fleet, left, at_hand)
        for device in [*finding.devices, *control]:
            if device in left and not set(left[device]) & set(jobs):
                fresh = [job for job in again if job not in done.get(device, ()) and job not in left[device]]
                left[device].extend(fresh)
    return {device: of_device for device, of_device in left.items() if of_device}


def elsewhere(findings: Iterable[SweepFinding], request: SweepRequest) -> list[SweepCell]:
    """Return what a device does that looks on another card where `findings` show: what the others did first."""
    shown = {(place.case, place.seed) for finding in findings for place in finding.places}
    return [job for job in first_look(request) if (job.case, job.seed) in shown]


def _again(finding: SweepFinding, request: SweepRequest) -> list[SweepCell]:
    """As many repeats again of every case and seed in which the finding shows, numbered on from the first look."""
    shown = dict.fromkeys((place.case, place.seed) for place in finding.places if place.seed is not None)
    repeats = range(request.repeats, 2 * request.repeats)
    return [SweepCell(case, seed, repeat) for case, seed in shown for repeat in repeats]


def _control(
    findings: Sequence[SweepFinding],
    fleet: Fleet,
    left: Mapping[str, Sequence[SweepCell]],
    at_hand: Collection[str],
) -> list[str]:
    """A device on another card that nothing speaks against; none where there is no such device."""
    named = {fleet.card(device) for each in findings for device in each.devices}
    steady = [device for device, jobs in left.items() if not jobs and fleet.card(device) not in named]
    preferred = [device for device in steady if device in at_hand] or steady
    return sorted(preferred)[:1]
