"""The merge base in a run of a suite: which of its trials are made, and what comparing with it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from farm.execution.failure_policy import FailurePolicy
from farm.gates.protocol import Evidence
from farm.gates.regression import MissingArm, RegressionGate
from farm.harness.file_selection import Found
from farm.model.run import GateStatus
from farm.source.suite_commits import SuiteCommits
from jobs.records import TrialRecord, TrialStatus
from kernel.harness.profile import Profile, Timing
from kernel.harness.targets import file_of


def trials_of_base(
    found: Found, commits: SuiteCommits | None, profile: Profile, repeats: int, timing: Timing
) -> dict[str, int]:
    """Return how many trials of each target go with the base's: once where times are the host's, which rank nothing."""
    if commits is None or commits.base is None:
        return {}
    known = {path for path, _ in commits.base.files}
    count = 1 if timing is Timing.HOST else repeats
    return {target: count for target in found.files if file_of(target, profile) in known}


def regression(
    evidence: Evidence,
    base: Sequence[TrialRecord],
    timed: Mapping[str, int],
    head_blames: Mapping[str, FailurePolicy],
    blames: Mapping[str, FailurePolicy],
) -> RegressionGate:
    """Return the gate against the base; `timed` are the targets whose base was to be measured."""
    missing = {}
    for target in evidence.cases:
        own = blames.get(target)
        if target in head_blames and head_blames[target].kernel:
            missing[target] = MissingArm(GateStatus.NOT_APPLICABLE, "the file fails, so its time is not compared")
        elif any(not claim.passed for trial in evidence.measured(target) for claim in trial.claims.values()):
            missing[target] = MissingArm(
                GateStatus.NOT_APPLICABLE, "its outputs are wrong, so its time is not compared"
            )
        elif target not in timed:
            missing[target] = MissingArm(GateStatus.NOT_APPLICABLE, "the merge base has no such file")
        elif own is not None and own.kernel:
            missing[target] = MissingArm(GateStatus.NOT_APPLICABLE, f"the merge base fails: {own.kernel[0].message}")
        elif not any(trial.wall_us is not None for trial in (*evidence.trials, *base) if trial.case == target):
            missing[target] = MissingArm(GateStatus.NOT_APPLICABLE, "neither the file nor its base has a time")
    return RegressionGate(tuple(base), missing=missing)


def said_of_base(target: str, head: Sequence[TrialRecord], base: Sequence[TrialRecord]) -> str:
    """What the base made of `target`, in a few words; "" where it was not run."""
    own = [trial for trial in base if trial.case == target]
    if not own:
        return ""
    lost = [trial.failure for trial in own if trial.failure is not None]
    measured = [trial for trial in own if trial.status is TrialStatus.OK]
    if not measured:
        return f"the merge base was not measured either: {lost[-1].message}" if lost else ""
    wrong = sorted({name for trial in measured for name, claim in trial.claims.items() if not claim.passed})
    if wrong:
        return f"the merge base fails too: {', '.join(wrong)}"
    ours, theirs = _bits(target, head), _bits(target, measured)
    if not ours or not theirs:
        return "the merge base passes"
    return f"the merge base passes with {'the same' if ours == theirs else 'other'} bits"


def other_tools(head: Mapping[str, str], base: Mapping[str, str]) -> str:
    """Say which tools of the merge base have other versions than the head's; "" where none has, or none is known."""
    differing = [f"{name} {base[name]}, now {head.get(name, 'none')}" for name in base if base[name] != head.get(name)]
    return f"the toolchain of the merge base was another: {'; '.join(differing)}" if differing else ""


def _bits(target: str, trials: Sequence[TrialRecord]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (name, claim.sha256)
        for trial in trials
        if trial.case == target and trial.status is TrialStatus.OK
        for name, claim in trial.claims.items()
        if claim.sha256
    )
