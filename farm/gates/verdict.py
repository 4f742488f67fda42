"""One verdict from the gates and the trials: the only place that weighs them against each other."""

from __future__ import annotations

from farm.model.run import GateRecord, GateStatus, Verdict
from farm.text import counted
from jobs.records import BuildRecord, Failure, Fault, TrialRecord, TrialStatus

_OF_TIMES = ("budget", "regression")  # what they find proves nothing where two times of one program differ
_DOUBTS = {"determinism": 0, "clock": 1}


def decide(
    builds: list[BuildRecord],
    trials: list[TrialRecord],
    gates: list[GateRecord],
    shortfall: str,
    faults: list[Failure],
) -> tuple[Verdict, str]:
    """The verdict and its reason in one sentence.

    The kernel's own faults come first: they are proven whatever else went wrong. `faults` are those, as `Blame.kernel`
    has them. `shortfall` names what was planned and not measured, "" when all was; a bug of the runtime is among that,
    and errored. Where one program has two times, no gate on times proves a fault. No gate that passed: nothing was
    proven, so errored.
    """
    for build in builds:
        if build.failure is not None:
            verdict = Verdict.FAILED if build.failure.fault is Fault.KERNEL else Verdict.ERRORED
            return verdict, f"the build of {build.case} failed: {build.failure.message}"
    if faults:
        return Verdict.FAILED, f"the kernel is at fault: {faults[0].message}"
    doubted = any(gate.name == "clock" and gate.status is GateStatus.ERRORED for gate in gates)
    failed = [gate for gate in gates if gate.status is GateStatus.FAILED and not (doubted and gate.name in _OF_TIMES)]
    if failed:
        return Verdict.FAILED, _reason(failed[0])
    if shortfall:  # before the gates that miss what it names the cause of
        return Verdict.ERRORED, shortfall
    # What determinism doubts, the other gates doubt as well: its reason is the first one. So it is with the times.
    doubting = sorted(gates, key=lambda gate: _DOUBTS.get(gate.name, len(_DOUBTS)))
    for status in (GateStatus.ERRORED, GateStatus.INCONCLUSIVE):
        for gate in doubting:
            if gate.status is status:
                return Verdict.ERRORED, _reason(gate)
    passed = [gate.name for gate in gates if gate.status is GateStatus.PASSED]
    if "tolerance" not in passed:
        return Verdict.ERRORED, "nothing was measured"
    idle = [gate.name for gate in gates if gate.status is GateStatus.NOT_APPLICABLE]
    without = f"; not applicable: {', '.join(idle)}" if idle else ""
    return Verdict.PASSED, f"{', '.join(passed)} passed on {_count(trials)}{without}"


def _reason(gate: GateRecord) -> str:
    head = "inconclusive" if gate.status is GateStatus.INCONCLUSIVE else f"{gate.name} {gate.status.value}"
    if not gate.findings:
        return head
    first = next((each for each in gate.findings if each.status is gate.status), gate.findings[0])
    place = [first.case, first.output and f"output {first.output}", first.device and f"device {first.device}"]
    where = ", ".join(part for part in place if part)
    more = f" (and {len(gate.findings) - 1} more)" if len(gate.findings) > 1 else ""
    return f"{head}: {where}: {first.message}{more}" if where else f"{head}: {first.message}{more}"


def _count(trials: list[TrialRecord]) -> str:
    measured = [trial for trial in trials if trial.status is TrialStatus.OK]
    devices = {trial.device for trial in measured}
    return f"{counted(len(measured), 'trial')} on {counted(len(devices), 'device')}"
