"""What the plan asks for and the evidence does not hold. Every gate asks here before it lets a case pass."""

from __future__ import annotations

from collections import Counter

from farm.gates.protocol import Evidence
from farm.model.run import Finding
from jobs.records import TrialRecord

_SHOWN = 4  # programs or repeats named in a message


def gaps(evidence: Evidence, case: str) -> list[Finding]:
    """Return a finding for each way in which the measurements of `case` are not the planned ones; empty where they are.

    A planned measurement belongs to a slot, and a slot may have moved to another device, so measurements are counted
    for each repeat, and devices for the whole case.
    """
    planned = [each for each in evidence.planned if each.case == case and each.arm is evidence.arm]
    if not planned:
        return [Finding(message="nothing was planned for it, so nothing can be proven", case=case)]
    measured = evidence.measured(case)
    found = [*_uncounted(Counter(each.repeat for each in planned), measured), *_doubled(measured)]
    slots, devices = {each.slot for each in planned}, {trial.device for trial in measured}
    if measured and len(devices) < len(slots):
        found.append(f"measured on {len(devices)} of {len(slots)} planned devices")
    return [Finding(message=message, case=case) for message in found]


def other_programs(evidence: Evidence, case: str) -> list[Finding]:
    """Return a finding where build, trials and devices of `case` did not have one and the same program."""
    found = evidence.fingerprints(case)
    if len(found) <= 1:
        return []
    built, groups = evidence.programs.get(case), []
    for fingerprint in sorted(found):
        devices = sorted({trial.device for trial in evidence.judged(case) if trial.fingerprint == fingerprint})
        where = ", ".join([*(["the build"] if fingerprint == built else []), *devices[:_SHOWN]])
        groups.append(f"{fingerprint[:12] or 'unnamed'} ({where})")
    message = f"the same request was compiled to {len(found)} different programs, so they are not compared: "
    return [Finding(message=message + "; ".join(groups[:_SHOWN]), case=case)]


def _uncounted(planned: Counter[int], measured: list[TrialRecord]) -> list[str]:
    have = Counter(trial.repeat for trial in measured)
    missing, surplus = planned - have, have - planned
    found = []
    if missing:
        found.append(f"{missing.total()} of {planned.total()} planned measurements are missing")
    if surplus:
        named = ", ".join(map(str, sorted(surplus)[:_SHOWN]))
        found.append(f"{surplus.total()} measurements more than planned, of repeat {named}")
    return found


def _doubled(measured: list[TrialRecord]) -> list[str]:
    copies = Counter((each.device, each.repeat, each.attempt, each.log, each.host_s) for each in measured)
    most = max(copies.values(), default=0)
    return [f"the same measurement stands {most} times in the evidence"] if most > 1 else []
