"""Outputs are bit-identical over repeats and over devices, and where they are not, whose fault that is.

Compared is the SHA-256 of the raw bytes of each output, warm-ups included: a first launch that is wrong is the classic
fault. Before that, everything planned must be there, with a digest, from one and the same program: other programs give
other bits, and an absent digest agrees with everything. `farm.gates.divergence` explains what differs. The program
fails where the fault is proven to be its own. Where a card may be faulty instead, the gate is errored, names the
explanations that remain, and the run takes a second look first.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from farm.gates.completeness import gaps, other_programs
from farm.gates.divergence import TWO_EXPLANATIONS, UNFIT, Divergence, Explanation, divergences
from farm.gates.protocol import Evidence, gravest, judge_cases, with_status
from farm.gates.votes import groups, witnesses
from farm.model.run import Finding, GateRecord, GateStatus

_CARD = (Explanation.UNSTEADY_CARD, Explanation.CARD_OR_DEPENDENCE, Explanation.NODE)


class DeterminismGate:
    """Compares digests; needs at least two trials of the same case."""

    name = "determinism"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed for the kernel's fault, errored for a suspect device or no evidence.

        Not applicable for one trial, and for trials that agree where all were on one device that nobody leased.
        """
        return judge_cases(self.name, evidence, _judge_case)


def distrusted_devices(evidence: Evidence) -> dict[str, frozenset[str]]:
    """Return case → devices whose word does not count in it: a card may be at fault, so the program is not."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in evidence.cases:
        for each in _divergences(evidence, case):
            if not each.explanation.program:
                found[case] |= each.devices or _wrong_of_two(evidence, case, each)
    return {case: frozenset(devices) for case, devices in found.items() if devices}


def suspect_devices(evidence: Evidence) -> frozenset[str]:
    """Return the devices that lost a vote on any output of any case: they are odd, and steady or proven unsteady."""
    found = (each for case in evidence.cases for each in _divergences(evidence, case) if each.explanation in _CARD)
    return frozenset(device for each in found for device in each.devices)


def second_look(evidence: Evidence) -> dict[str, frozenset[str]]:
    """Return case → devices that should repeat their trials of it: one look proves nothing.

    A device that lost a vote repeats alone. Where one card disagrees with itself, all repeat: a race shows elsewhere.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for case in evidence.cases:
        for each in _divergences(evidence, case):
            if each.explanation in _CARD:
                found[case] |= each.devices
            elif each.explanation is Explanation.RACE_OR_CARD:
                found[case] |= set(each.digests)
    return {case: frozenset(devices) for case, devices in found.items() if devices}


def other_card_look(evidence: Evidence) -> dict[str, frozenset[str]]:
    """Return case → devices of which one should give its place to another card.

    More repeats on the same cards cannot tell a card that computes wrongly from a program that depends on the device.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for case in evidence.cases:
        for each in _divergences(evidence, case):
            if each.explanation is Explanation.CARD_OR_DEPENDENCE:
                found[case] |= (each.devices or set(each.digests)) - evidence.unfit
    return {case: frozenset(devices) for case, devices in found.items() if devices}


def unsteady_devices(evidence: Evidence) -> frozenset[str]:
    """Return the devices whose card is proven to compute wrongly now and then."""
    found = (each for case in evidence.cases for each in _divergences(evidence, case))
    return frozenset(
        device for each in found if each.explanation is Explanation.UNSTEADY_CARD for device in each.devices
    )


def _divergences(evidence: Evidence, case: str) -> list[Divergence]:
    """What differs between trials that can be compared at all."""
    if case in evidence.incomparable or other_programs(evidence, case):
        return []
    return divergences(evidence, case)


def _judge_case(case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
    if incomparable := evidence.incomparable.get(case):
        return GateStatus.NOT_APPLICABLE, [Finding(message=incomparable, case=case)]
    if not evidence.measured(case):
        return GateStatus.ERRORED, [Finding(message="no trial measured any output", case=case)]
    findings = with_status(
        [*other_programs(evidence, case), *gaps(evidence, case), *_undigested(case, evidence)], GateStatus.ERRORED
    )
    if not findings and len(evidence.judged(case)) == 1:
        only = "one trial on one device has nothing to be compared with; ask for more devices or repeats"
        only = _one_device(1) if evidence.local else only
        return GateStatus.NOT_APPLICABLE, [Finding(message=only, case=case)]
    for each in _divergences(evidence, case):
        status = GateStatus.FAILED if each.explanation.program else GateStatus.ERRORED
        findings += with_status(_described(case, each, evidence), status)
    if not findings and evidence.local:
        return GateStatus.NOT_APPLICABLE, [Finding(message=_one_device(len(evidence.judged(case))), case=case)]
    order = {GateStatus.FAILED: 0, GateStatus.ERRORED: 1}
    findings.sort(key=lambda finding: order[finding.status or GateStatus.ERRORED])
    return gravest(each.status or GateStatus.ERRORED for each in findings) if findings else GateStatus.PASSED, findings


def _one_device(trials: int) -> str:
    agree = f"; its {trials} trials agree, which says nothing of another device" if trials > 1 else ""
    return f"one device{agree}"


def _undigested(case: str, evidence: Evidence) -> list[Finding]:
    """A finding for each output without a digest; one for a case without outputs."""
    names = evidence.outputs.get(case, ())
    if not names:
        return [Finding(message="it has no output to compare", case=case)]
    return [
        Finding(message="the output has no digest", case=case, device=trial.device, repeat=trial.repeat, output=name)
        for name in names
        for trial in evidence.judged(case)
        if not trial.digest(name)
    ]


def _wrong_of_two(evidence: Evidence, case: str, found: Divergence) -> frozenset[str]:
    """Of two cards that disagree, the one whose numbers are wrong while the other's are right."""
    wrong = set()
    for trial in evidence.judged(case):
        output, claim = trial.outputs.get(found.output), trial.claims.get(found.output)
        if (output is not None and not output.tolerance.passed) or (claim is not None and not claim.passed):
            wrong.add(trial.device)
    return frozenset(wrong) if wrong < set(found.digests) else frozenset()


def _described(case: str, found: Divergence, evidence: Evidence) -> list[Finding]:
    if not found.devices:
        return [Finding(message=_split(found), case=case, output=found.output)]
    by_itself = found.explanation in (Explanation.RACE, Explanation.RACE_OR_CARD, Explanation.UNSTEADY_CARD)
    describe = _against_itself if by_itself else _against_others
    return [describe(case, found, device, evidence) for device in sorted(found.devices)]


def _against_itself(case: str, found: Divergence, device: str, evidence: Evidence) -> Finding:
    repeats = found.digests[device]
    counts = Counter(repeats.values())
    common, _ = counts.most_common(1)[0]
    odd = sorted(repeat for repeat, digest in repeats.items() if digest != common)
    named = ", ".join("the first launch" if repeat < 0 else str(repeat) for repeat in odd)
    seen = f"the device disagrees with itself, {len(counts)} different results, odd repeats {named}"
    others = witnesses(found.digests, evidence.cards) - 1
    message = f"the kernel races: {seen}"
    if found.explanation is Explanation.RACE_OR_CARD:
        message = (
            f"either the kernel races or this card is unsteady: {seen}, and no other of {others} cards does; "
            "run more repeats on more cards to tell"
        )
    elif found.explanation is Explanation.UNSTEADY_CARD:
        message = f"device is suspect, its card is unsteady: {seen}, and no other of {others} cards does"
    return Finding(message=message, case=case, device=device, repeat=odd[0], output=found.output)


def _against_others(case: str, found: Divergence, device: str, evidence: Evidence) -> Finding:
    cards = {evidence.card(each) for each in found.digests}
    odd = {evidence.card(each) for each in found.devices}
    votes = f"{len(cards) - len(odd)} of {len(cards)} cards agree on other bits"
    if found.explanation is Explanation.DEPENDENCE:
        message = f"the kernel depends on the device: {votes}, and {len(odd)} cards share these"
    elif found.explanation is Explanation.NODE:
        message = f"all devices of its node agree on bits nobody else has, look at what the node gives them: {votes}"
    else:
        looked = ", twice looked at" if device in evidence.looked_again else ""
        seen = f"device is suspect{looked}: {votes}, the same on all {len(found.digests[device])} repeats of this one"
        message = f"{seen}; {UNFIT if device in evidence.unfit else TWO_EXPLANATIONS}"
    return Finding(message=message, case=case, device=device, output=found.output)


def _split(found: Divergence) -> str:
    different = groups(found.digests)
    told = "; ".join(" = ".join(sorted(group)) for group in different.values())
    results = f"{len(found.digests)} devices gave {len(different)} different results ({told})"
    if found.explanation is Explanation.DEPENDENCE:
        return f"the kernel depends on the device: {results}"
    return f"either a card computes wrongly or the kernel depends on the device: {results}; one more card tells"
