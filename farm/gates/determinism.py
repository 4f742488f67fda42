"""Outputs are bit-identical over repeats and over devices, and where they are not, whose fault that is.

The reasoning, per case and output, on the SHA-256 of the raw bytes:

1. A device that disagrees with itself over repeats: the kernel races.
2. Every device agrees with itself and all agree: passed.
3. One or more devices disagree with a strict majority that agrees: those devices are suspect. One look is not proof, so
   the run takes a second one (more repeats on the suspects); a suspect that then agrees with the majority has disagreed
   with itself, which is case 1.
4. No strict majority: the kernel depends on the device.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from farm.gates.protocol import Evidence, judge_cases, with_status
from farm.gates.votes import Digests, groups, minority, self_disagreeing
from farm.model.run import Finding, GateRecord, GateStatus
from jobs.records import TrialRecord


class DeterminismGate:
    """Compares digests; needs at least two trials of the same case."""

    name = "determinism"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed for the kernel's fault, errored for a suspect device or no evidence, not applicable for one trial."""
        return judge_cases(self.name, evidence, _judge_case)


def suspect_devices(evidence: Evidence) -> frozenset[str]:
    """Devices that agree with themselves and disagree with a strict majority of devices on any output of any case."""
    found: set[str] = set()
    for case in evidence.cases:
        trials = evidence.measured(case)
        for output in evidence.outputs[case]:
            digests = _digests(trials, output)
            if not self_disagreeing(digests):
                found.update(minority(digests))
    return frozenset(found)


def _judge_case(case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
    if incomparable := evidence.incomparable.get(case):
        return GateStatus.NOT_APPLICABLE, [Finding(message=incomparable, case=case)]
    trials = evidence.measured(case)
    if not trials:
        return GateStatus.ERRORED, [Finding(message="no trial measured any output", case=case)]
    if len(trials) == 1:
        only = "one trial on one device has nothing to be compared with; ask for more devices or repeats"
        return GateStatus.NOT_APPLICABLE, [Finding(message=only, case=case)]
    status = GateStatus.PASSED
    findings: list[Finding] = []
    for output in evidence.outputs[case]:
        of_output, found = _judge_output(case, output, _digests(trials, output), evidence.looked_again)
        findings.extend(with_status(found, of_output))
        if of_output is GateStatus.FAILED or status is GateStatus.PASSED:
            status = of_output
    return status, findings


def _judge_output(
    case: str, output: str, digests: Digests, looked_again: frozenset[str]
) -> tuple[GateStatus, list[Finding]]:
    racing = self_disagreeing(digests)
    if racing:
        return GateStatus.FAILED, [_race(case, output, device, digests[device]) for device in racing]
    if len({digest for repeats in digests.values() for digest in repeats.values()}) <= 1:
        return GateStatus.PASSED, []
    alone = minority(digests)
    if alone:
        votes = f"{len(digests) - len(alone)} of {len(digests)} devices agree on other bits"
        return GateStatus.ERRORED, [
            Finding(
                message=f"device is suspect{', twice looked at' if device in looked_again else ''}: {votes}, "
                f"the same on all {len(digests[device])} repeats of this one",
                case=case,
                device=device,
                output=output,
            )
            for device in sorted(alone)
        ]
    different = groups(digests)
    message = f"the kernel depends on the device: {len(digests)} devices gave {len(different)} different results ("
    message += "; ".join(" = ".join(sorted(group)) for group in different.values()) + ")"
    return GateStatus.FAILED, [Finding(message=message, case=case, output=output)]


def _race(case: str, output: str, device: str, repeats: Mapping[int, str]) -> Finding:
    counts = Counter(repeats.values())
    common, _ = counts.most_common(1)[0]
    odd = [repeat for repeat, digest in repeats.items() if digest != common]
    named = ", ".join(str(repeat) for repeat in sorted(odd))
    message = (
        f"the kernel races: the device disagrees with itself, {len(counts)} different results, odd repeats {named}"
    )
    return Finding(message=message, case=case, device=device, repeat=min(odd), output=output)


def _digests(trials: list[TrialRecord], output: str) -> Digests:
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for trial in trials:
        if digest := trial.digest(output):
            found[trial.device][trial.repeat] = digest
    return dict(found)
