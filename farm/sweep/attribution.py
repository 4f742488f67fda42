"""Whose fault each disagreement of a sweep is. Pure: cells in, findings out, the same for the same cells in any order.

The votes are those of the determinism gate (`farm.gates.votes`), on cards and over many more devices. In this order:

1. *The same program?* Devices whose compiled program differs from that of a strict majority did not do what was asked:
   the farm's, and their bits are compared with nobody's.
2. *Did it run?* A trial that failed on a minority of the cards is theirs; else the kernel's.
3. *Steady?* Devices of several cards that disagree with themselves show a race of the kernel. One card alone may be
   unsteady: `farm.gates.self_disagreement` says so where there are trials enough, else it stays undecided.
4. *Agreed?* `farm.gates.divergence` explains what differs between steady devices. One that is outside a strict majority
   of cards has a card that computes wrongly, or the kernel depends on the device: that stays undecided, unless the
   device fails its canary as well. Two cards that share their odd bits are not both broken in the same place: where
   they are all the devices of their nodes, it is something the node gives them (the farm's), else the kernel depends on
   the device. So it does where there is no strict majority, unless one broken card would explain it.
5. *Right?* Outputs out of tolerance on devices that nothing above speaks against are the kernel's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from farm.analysis.sweep_matrix import Column, Fleet, columns
from farm.gates.divergence import TWO_EXPLANATIONS, UNFIT, Explanation, steady_differences
from farm.gates.self_disagreement import unsteady_cards
from farm.gates.votes import Digests, groups, majority, minority, self_disagreeing, witnesses
from farm.model.sweep import Cell, FindingPlace, Kind, SweepFinding
from farm.sweep.failure_attribution import FailureAttribution, failed_trials
from farm.text import counted

_SHOWN = 4  # devices of a group in a message


def attribute(cells: Sequence[Cell], fleet: Fleet, repeats: int, unfit: Collection[str] = ()) -> list[SweepFinding]:
    """The findings about bits, numbers and failed trials, the kernel's first.

    `repeats` is how many a first look has: cells with a higher repeat are of a second look. `unfit` are devices that
    failed a canary in this sweep.
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
        blames += _judge(column, digests, fleet, unsteady, others if len(racing) == 1 else 0, unfit)
    split = {blame.place for blame in blames if blame.kind is Kind.UNDECIDED and not blame.devices}
    blames += _wrong_numbers(cells, {device for blame in blames for device in blame.devices}, split)
    looked = {(cell.device, cell.case, cell.seed) for cell in cells if cell.repeat >= repeats}
    return [_confirmed(finding, looked) for finding in _merged(blames)]


def card_or_dependence(findings: Iterable[SweepFinding], cells: Iterable[Cell]) -> list[SweepFinding]:
    """Return the findings that a wrong card explains as well as a kernel that depends on the device, twice looked at.

    More repeats on the same cards cannot tell the two apart; a look on another card can.
    """
    racing = unsteady_devices(cells)
    undecided = (each for each in findings if each.kind is Kind.UNDECIDED and each.confirmed)
    return [
        each
        for each in undecided
        if not any((device, place) in racing for device in each.devices for place in _keys(each))
    ]


def unsteady_devices(cells: Iterable[Cell]) -> set[tuple[str, tuple[str, int | None, str]]]:
    """Return each device that disagrees with itself, with the case, seed and output it does so in."""
    return {
        (device, (column.case, column.seed, column.output))
        for column, digests in columns(cells).items()
        for device in self_disagreeing(digests)
    }


def _keys(finding: SweepFinding) -> list[tuple[str, int | None, str]]:
    return [(place.case, place.seed, place.output) for place in finding.places]


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
    column: Column,
    digests: Digests,
    fleet: Fleet,
    unsteady: frozenset[str],
    lone_among: int,
    unfit: Collection[str],
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
    return blames + _vote(column.place, steady, fleet, unfit)


def _vote(place: FindingPlace, digests: Digests, fleet: Fleet, unfit: Collection[str]) -> list[FailureAttribution]:
    """Blames for one column of steady devices."""
    blames = []
    for explanation, odd in steady_differences(digests, fleet.cards):
        if not odd:
            blames.append(_split(place, digests, explanation))
        elif explanation is Explanation.CARD_OR_DEPENDENCE:
            blames += [_alone(place, device, digests, fleet, device in unfit) for device in sorted(odd)]
        else:
            blames.append(_shared(place, odd, fleet, explanation))
    return blames


def _split(place: FindingPlace, digests: Digests, explanation: Explanation) -> FailureAttribution:
    """No bits have a majority."""
    different = sorted(groups(digests).values(), key=lambda group: (-len(group), min(group)))
    why = f"no majority among {len(different)} different results: {'; '.join(_named(group) for group in different)}"
    if explanation is Explanation.DEPENDENCE:
        return FailureAttribution(Kind.DEPENDS_ON_DEVICE, (), place, why)
    why = f"either a card computes wrongly or the kernel depends on the device: {why}"
    return FailureAttribution(Kind.UNDECIDED, (), place, why)


def _alone(place: FindingPlace, device: str, digests: Digests, fleet: Fleet, unfit: bool) -> FailureAttribution:
    """A card with bits of its own against a strict majority."""
    common = majority(digests, fleet.cards)
    assert common is not None, "only a majority makes one device odd"
    agreeing = groups(digests)[common]
    votes = f"{witnesses(agreeing, fleet.cards)} of {witnesses(digests, fleet.cards)} cards agree on other bits"
    kind, rest = (Kind.DEVICE_SUSPECT, UNFIT) if unfit else (Kind.UNDECIDED, TWO_EXPLANATIONS)
    return FailureAttribution(kind, (device,), place, f"{votes}; {rest}")


def _shared(place: FindingPlace, group: Collection[str], fleet: Fleet, explanation: Explanation) -> FailureAttribution:
    """Several cards with the same odd bits."""
    if explanation is Explanation.NODE:
        nodes = ", ".join(sorted({fleet.node(device) for device in group}))
        why = f"all devices of {nodes} agree on bits nobody else has: look at what the node gives them"
        return FailureAttribution(Kind.FARM, tuple(sorted(group)), place, why)
    chips = ", ".join(sorted({fleet.socs[device] for device in group}))
    why = f"{len(group)} devices ({chips}) agree on bits that the majority does not have"
    return FailureAttribution(Kind.DEPENDS_ON_DEVICE, tuple(sorted(group)), place, why)


def _wrong_numbers(
    cells: Iterable[Cell], blamed: Collection[str], split: Collection[FindingPlace]
) -> list[FailureAttribution]:
    """Outputs out of tolerance. Of two cards that disagree, one that alone is wrong may be the card that is odd.

    `split` are the places in which it is not known who is odd.
    """
    ran: dict[tuple[str, int], set[str]] = defaultdict(set)
    wrong: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    for cell in cells:
        if cell.device not in blamed:
            ran[cell.case, cell.seed].add(cell.device)
            for output in cell.wrong:
                wrong[cell.case, cell.seed, output].add(cell.device)
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (case, seed, output), devices in wrong.items():
        if devices == ran[case, seed] or FindingPlace(case=case, seed=seed, output=output) not in split:
            found[case, output] |= devices
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
