"""Whose fault each disagreement of a sweep is. Pure: cells in, findings out, the same for the same cells in any order.

The votes are those of the determinism gate (`farm.gates.votes`), on cards and over many more devices. In this order:

1. *The same program?* Devices whose compiled program differs from that of a strict majority did not do what was asked:
   the farm's, and their bits are compared with nobody's.
2. *Did it run?* A trial that failed on a minority of the cards is theirs; else the kernel's.
3. *Steady?* Devices of several cards that disagree with themselves show a race of the kernel. One card alone may be
   unsteady: `farm.gates.self_disagreement` says so where there are trials enough, else it stays undecided.
4. *Agreed?* Of the steady devices, those outside a strict majority of cards are suspect. But two cards that share their
   odd bits are not both broken in the same place: where they are all the devices of their nodes, it is something the
   node gives them (the farm's), else the kernel depends on the device. So it does where there is no strict majority,
   unless one broken card would explain it: that stays undecided.
5. *Right?* Outputs out of tolerance on devices that nothing above speaks against are the kernel's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from farm.analysis.sweep_matrix import Column, Fleet, columns
from farm.gates.self_disagreement import unsteady_cards
from farm.gates.votes import Digests, groups, majority, minority, self_disagreeing, witnesses
from farm.model.sweep import Cell, FindingPlace, Kind, SweepFinding
from farm.sweep.failure_attribution import FailureAttribution, failed_trials
from farm.text import counted

_SHOWN = 4  # devices of a group in a message


def attribute(cells: Sequence[Cell], fleet: Fleet, repeats: int) -> list[SweepFinding]:
    """The findings about bits, numbers and failed trials, the kernel's first.

    `repeats` is how many a first look has: cells with a higher repeat are of a second look.
    """
    cells = sorted(cells, key=lambda cell: (cell.case, cell.seed, cell.device, cell.repeat))
    blames, strangers = _other_programs(cells, fleet)
    cells = [cell for cell in cells if (cell.case, cell.device) not in strangers]
    blames += failed_trials(cells, fleet)
    table = columns(cells)
    odd = _odd_trials(table, fleet)
    racing = {fleet.card(device) for device, *_ in odd}
    unsteady = unsteady_cards(*_by_card(odd, cells, fleet))
    others = witnesses({cell.device for cell in cells}, fleet.cards) - len(racing)
    for column, digests in table.items():
        blames += _judge(column, digests, fleet, unsteady, lone_among=others if len(racing) == 1 else 0)
    blames += _wrong_numbers(cells, {device for blame in blames for device in blame.devices})
    looked = {(cell.device, cell.case, cell.seed) for cell in cells if cell.repeat >= repeats}
    return [_confirmed(finding, looked) for finding in _merged(blames)]


def _other_programs(cells: Sequence[Cell], fleet: Fleet) -> tuple[list[FailureAttribution], set[tuple[str, str]]]:
    """Blames for devices that ran another program, and their (case, device)."""
    prints: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for number, cell in enumerate(cells):
        if cell.fingerprint:
            prints[cell.case][cell.device][number] = cell.fingerprint
    blames, strangers = [], set()
    for case, of_case in prints.items():
        unsure = set(self_disagreeing(of_case))
        sure = {device: of_device for device, of_device in of_case.items() if device not in unsure}
        common = majority(sure, fleet.cards)
        others = unsure | (set(sure) if common is None else minority(sure, fleet.cards))
        if others:
            programs = len({each for of_device in of_case.values() for each in of_device.values()})
            why = f"the same request was compiled to {programs} different programs; their bits were not compared"
            blames.append(FailureAttribution(Kind.FARM, tuple(sorted(others)), FindingPlace(case=case), why))
            strangers |= {(case, device) for device in others}
    return blames, strangers


def _odd_trials(table: Mapping[Column, Digests], fleet: Fleet) -> set[tuple[str, str, int, int]]:
    """(device, case, seed, repeat) of every trial of a device that disagrees with itself and gave the odd bits."""
    found = set()
    for column, digests in table.items():
        racing = self_disagreeing(digests)
        steady = {device: repeats for device, repeats in digests.items() if device not in racing}
        right = majority(steady, fleet.cards)
        for device in racing:
            common = right or Counter(digests[device].values()).most_common(1)[0][0]
            found |= {
                (device, column.case, column.seed, repeat)
                for repeat, digest in digests[device].items()
                if digest != common
            }
    return found


def _by_card(
    odd: Iterable[tuple[str, str, int, int]], cells: Iterable[Cell], fleet: Fleet
) -> tuple[Counter[str], Counter[str]]:
    """Odd trials and measured trials of each card."""
    measured = Counter(fleet.card(cell.device) for cell in cells if cell.failure is None)
    return Counter(fleet.card(device) for device, *_ in odd), measured


def _judge(
    column: Column, digests: Digests, fleet: Fleet, unsteady: frozenset[str], lone_among: int
) -> list[FailureAttribution]:
    """Blames for one column. `lone_among` is how many cards are steady where a single one is not, else 0."""
    racing = self_disagreeing(digests)
    kernels = [device for device in racing if fleet.card(device) not in unsteady]
    blames = [
        FailureAttribution(
            Kind.DEVICE_SUSPECT, (device,), column.place, "the only unsteady card: it disagrees with itself"
        )
        for device in racing
        if device not in kernels
    ]
    if kernels:
        kind, why = Kind.KERNEL_RACES, "the kernel races: repeats on one device give different bits"
        if lone_among:
            kind = Kind.UNDECIDED
            why = (
                "either the kernel races or this card is unsteady: its repeats give different bits, and none of "
                f"{counted(lone_among, 'other card')} does so"
            )
        return [*blames, *(FailureAttribution(kind, (device,), column.place, why) for device in kernels)]
    steady = {device: repeats for device, repeats in digests.items() if device not in racing}
    return blames + _vote(column.place, steady, fleet)


def _vote(place: FindingPlace, digests: Digests, fleet: Fleet) -> list[FailureAttribution]:
    """Blames for one column of steady devices."""
    different = groups(digests)
    if len(different) <= 1:
        return []
    common = majority(digests, fleet.cards)
    if common is None:
        told = "; ".join(
            _named(group) for group in sorted(different.values(), key=lambda group: (-len(group), min(group)))
        )
        why = f"no majority among {len(different)} different results: {told}"
        largest = max(witnesses(group, fleet.cards) for group in different.values())
        if witnesses(digests, fleet.cards) - largest <= 1:
            why = f"either a card computes wrongly or the kernel depends on the device: {why}"
            return [FailureAttribution(Kind.UNDECIDED, (), place, why)]
        return [FailureAttribution(Kind.DEPENDS_ON_DEVICE, (), place, why)]
    agreeing = f"{witnesses(different[common], fleet.cards)} of {witnesses(digests, fleet.cards)} cards"
    blames = []
    for digest, group in different.items():
        if digest == common:
            continue
        if witnesses(group, fleet.cards) > 1:
            blames.append(_shared(place, group, digests, fleet))
        else:
            why = f"{agreeing} agree on other bits"
            blames += [FailureAttribution(Kind.DEVICE_SUSPECT, (device,), place, why) for device in sorted(group)]
    return blames


def _shared(place: FindingPlace, group: set[str], digests: Digests, fleet: Fleet) -> FailureAttribution:
    """Several cards with the same odd bits."""
    nodes = {fleet.node(device) for device in group}
    if group == {device for device in digests if fleet.node(device) in nodes}:
        why = (
            f"all devices of {', '.join(sorted(nodes))} agree on bits nobody else has: look at what the node gives them"
        )
        return FailureAttribution(Kind.FARM, tuple(sorted(group)), place, why)
    chips = sorted({fleet.socs.get(device, "") for device in group})
    why = f"{len(group)} devices ({', '.join(chips)}) agree on bits that the majority does not have"
    return FailureAttribution(Kind.DEPENDS_ON_DEVICE, tuple(sorted(group)), place, why)


def _wrong_numbers(cells: Iterable[Cell], blamed: Collection[str]) -> list[FailureAttribution]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for cell in cells:
        if cell.device not in blamed:
            for output in cell.wrong:
                found[cell.case, output].add(cell.device)
    return [
        FailureAttribution(
            Kind.WRONG_NUMBERS, tuple(sorted(devices)), FindingPlace(case=case, output=output), "out of tolerance"
        )
        for (case, output), devices in found.items()
    ]


def _merged(blames: Iterable[FailureAttribution]) -> list[SweepFinding]:
    """One finding for each kind and set of devices, the kernel's first; the first place's reason stands for all."""
    together: dict[tuple[Kind, tuple[str, ...]], list[FailureAttribution]] = defaultdict(list)
    for blame in blames:
        together[blame.kind, blame.devices].append(blame)
    order = {kind: number for number, kind in enumerate(Kind)}
    return [
        SweepFinding(
            kind=kind,
            message=same[0].why,
            devices=list(devices),
            places=[blame.place for blame in same],
        )
        for (kind, devices), same in sorted(together.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    ]


def _confirmed(finding: SweepFinding, looked: Collection[tuple[str, str, int]]) -> SweepFinding:
    """`finding`, unconfirmed where one look proves nothing and its devices were not looked at again where it shows."""
    if finding.kind not in (Kind.DEVICE_SUSPECT, Kind.UNDECIDED):
        return finding
    shown = {(device, place.case, place.seed) for device in finding.devices for place in finding.places}
    return finding.model_copy(update={"confirmed": all(each in looked for each in shown)})


def _named(devices: Collection[str]) -> str:
    ordered = sorted(devices)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return " = ".join(ordered[:_SHOWN]) + more
