"""What the gates say of a harness's run: its claims, bits and budgets, where there are any. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from farm.gates.budget import BudgetGate
from farm.gates.claims import ClaimGate
from farm.gates.determinism import DeterminismGate, distrusted_devices
from farm.gates.exact_time import ExactTimeGate
from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.gates.regression import RegressionGate
from farm.harness.file_selection import Found
from farm.model.budgets import Budget
from farm.model.run import Finding, GateRecord, GateStatus
from jobs.records import Arm, TrialRecord
from kernel.clock import Clock
from kernel.harness.profile import Ceiling, Data, Timing


def judge(
    evidence: Evidence,
    platform: str,
    timing: Timing,
    outputs_required: bool = True,
    regression: RegressionGate | None = None,
) -> list[GateRecord]:
    """Tolerance, determinism and budget; of a cost model's times also whether each file has one.

    With `regression`, also whether it is slower than the merge base.
    """
    judged = [ClaimGate(outputs_required).judge(evidence), DeterminismGate().judge(_with_bits(evidence))]
    if regression is not None:
        judged.append(regression.judge(replace(evidence, noisy=timing is not Timing.SIMULATED)))
    if timing is not Timing.SIMULATED:
        return [*judged, _budget(evidence, platform, timing)]
    clock = ExactTimeGate().judge(evidence)
    doubted = {each.case for each in clock.findings if each.status is GateStatus.ERRORED}
    believed = {file: budget for file, budget in evidence.budgets.items() if file not in doubted}
    return [*judged, clock, _budget(replace(evidence, budgets=believed), platform, timing)]


def _budget(evidence: Evidence, platform: str, timing: Timing) -> GateRecord:
    """Of the files that have one; the others are not held to any time."""
    if evidence.budgets:
        return BudgetGate().judge(replace(evidence, cases=tuple(evidence.budgets)))
    why = "the profile has no budget for these files"
    if timing is Timing.HOST:
        why = f"{platform} is a functional simulator: its times are the host's CPU time and are never gated"
    return GateRecord(name="budget", status=GateStatus.NOT_APPLICABLE, findings=[Finding(message=why)])


def evidence(
    found: Found,
    data: Data,
    trials: Sequence[TrialRecord],
    clock: Clock,
    ceilings: Mapping[str, Ceiling],
    planned: Sequence[PlannedMeasurement],
    cards: Mapping[str, str] | None = None,
    looked_again: frozenset[str] = frozenset(),
) -> Evidence:
    """What the gates may look at; `ceilings` are the platform's, by file, and `cards` the devices' by their id.

    `planned` is what must exist, on whichever devices were free; see `once_planned`. A file whose bits prove nothing
    makes no device suspect, and a device that is suspect in one file is trusted in the others.
    """
    outputs = {file: _outputs(trials, file) for file in found.files}
    why = {file: _incomparable(file, found, data, trials) for file in found.files}
    whole = Evidence(
        cases=tuple(found.files),
        clock=clock,
        noisy=True,
        trials=tuple(trials),
        outputs=outputs,
        planned=tuple(planned),
        cards=cards or {},
        looked_again=looked_again,
        budgets={
            file: Budget(each.ceiling_us, None, each.source) for file, each in ceilings.items() if file in outputs
        },
        incomparable={file: reason for file, reason in why.items() if reason},
    )
    return replace(whole, suspects=distrusted_devices(whole))


def once_planned(found: Found, repeats: int, based: Mapping[str, int] | None = None) -> list[PlannedMeasurement]:
    """Return the plan of a run before any second look: every file `repeats` times, and its base as `based` says."""
    based = based or {}
    head = [PlannedMeasurement(file, 0, repeat) for file in found.files for repeat in range(repeats)]
    base = [PlannedMeasurement(file, 0, repeat, Arm.BASE) for file in based for repeat in range(based[file])]
    return head + base


def _with_bits(evidence: Evidence) -> Evidence:
    """`evidence` without what has no bits that could be compared: exit codes and tests."""
    whole = {(trial.case, name) for trial in evidence.trials for name, claim in trial.claims.items() if claim.whole}
    outputs = {
        file: tuple(name for name in names if (file, name) not in whole) for file, names in evidence.outputs.items()
    }
    return replace(evidence, outputs=outputs)


def _incomparable(file: str, found: Found, data: Data, trials: Sequence[TrialRecord]) -> str:
    """Why the bits of two trials of `file` prove nothing; "" where they do."""
    own = [trial for trial in trials if trial.case == file]
    if not any(claim.sha256 for trial in own for claim in trial.claims.values()):
        why = next((trial.undigested for trial in own if trial.undigested), "")
        return f"no digests of its outputs: {why}" if why else "the harness keeps no outputs"
    if not (data.seeded or found.files[file].replays or data.frozen_by_wrapper):
        return "every run draws inputs of its own, and the file cannot replay those of another"
    return ""


def _outputs(trials: Sequence[TrialRecord], file: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for trial in trials if trial.case == file for name in trial.claims))
