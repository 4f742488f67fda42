"""Builders of trials and evidence for the gates' tests: only what a test is about is spelt out.

`whole()` is the evidence of a run as runs are: two cases, two outputs, three devices, three repeats, three arms, and an
attempt that was lost. A gate that looks at the first of anything only, or forgets to tell them apart, is found with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.model.budgets import Budget
from jobs.records import Arm, Failure, Fault, OutputRecord, ToleranceRecord, TrialRecord, TrialStatus
from kernel.clock import Clock

CASE, OTHER = "tiny", "wide"
CASES = (CASE, OTHER)
OUTPUTS = ("q", "kv")
DEVICES = ("n0/0", "n0/1", "n1/0")
REPEATS = 3
PROGRAMS = {CASE: "f" * 64, OTHER: "e" * 64}
WALL_US = {CASE: 100.0, OTHER: 200.0}


def output(digest: str = "same", passed: bool = True) -> OutputRecord:
    """One output, by default within tolerance and with the digest every other has."""
    tolerance = ToleranceRecord(
        passed=passed,
        reference="golden",
        outlier_share=0.0 if passed else 0.25,
        allowed_outlier_share=0.005,
        max_abs_err=0.0,
        max_rel_err=0.0,
        worst_index=[0, 0],
        worst_actual=1.0,
        worst_expected=1.0,
        nonfinite=0,
    )
    return OutputRecord(sha256=digest, shape=[2, 2], dtype="bfloat16", tolerance=tolerance)


def trial(
    device: str,
    repeat: int,
    *,
    digest: str = "same",
    passed: bool = True,
    wall_us: float | None = 100.0,
    clock: Clock = Clock.SIMULATED,
    **more: Any,
) -> TrialRecord:
    """One trial that ran to the end, with the single output `q` unless `outputs` says otherwise."""
    values: dict[str, Any] = {
        "case": CASE,
        "device": device,
        "repeat": repeat,
        "attempt": 0,
        "status": TrialStatus.OK,
        "clock": clock,
        "wall_us": wall_us,
        "outputs": {"q": output(digest, passed)},
        "fingerprint": PROGRAMS[CASE],
    }
    return TrialRecord(**{**values, **more})


def lost(device: str, repeat: int, kind: str = "hang", fault: Fault = Fault.DEVICE, **more: Any) -> TrialRecord:
    """One trial that did not come back."""
    status = TrialStatus.FAILED if fault is Fault.KERNEL else TrialStatus.ERRORED
    failure = Failure(fault=fault, kind=kind, message=f"{kind} on {device}")
    values: dict[str, Any] = {"case": CASE, "attempt": 0, "status": status, "clock": Clock.SIMULATED}
    return TrialRecord(**{**values, "device": device, "repeat": repeat, "failure": failure, **more})


def planned_for(trials: Sequence[TrialRecord], arm: Arm = Arm.HEAD) -> tuple[PlannedMeasurement, ...]:
    """The plan of which `trials` are exactly what it asks for: a slot is a device."""
    slots = {device: slot for slot, device in enumerate(dict.fromkeys(each.device for each in trials))}
    places = dict.fromkeys((each.case, slots[each.device], each.repeat) for each in trials if each.repeat >= 0)
    return tuple(PlannedMeasurement(*place, arm) for place in places)


def evidence(
    trials: Sequence[TrialRecord],
    *,
    noisy: bool = False,
    clock: Clock = Clock.SIMULATED,
    budget: Budget | None = None,
    suspects: Sequence[str] | Mapping[str, frozenset[str]] = (),
    base: Sequence[TrialRecord] = (),
    controls: Sequence[TrialRecord] = (),
    **more: Any,
) -> Evidence:
    """Evidence of one case with the output `q`; what is planned is what is there, unless `planned` says otherwise."""
    planned = (*planned_for(trials), *planned_for(base, Arm.BASE), *planned_for(controls, Arm.CONTROL))
    values: dict[str, Any] = {
        "cases": (CASE,),
        "clock": clock,
        "noisy": noisy,
        "trials": tuple(trials),
        "outputs": {CASE: ("q",)},
        "planned": planned,
        "budgets": {CASE: budget} if budget else {},
        "suspects": suspects if isinstance(suspects, Mapping) else {CASE: frozenset(suspects)},
    }
    return Evidence(**{**values, **more})


def whole(**more: Any) -> Evidence:
    """The evidence of a whole run that passes every gate: cases × devices × repeats, and one lost attempt."""
    trials = of_run()
    values: dict[str, Any] = {
        "trials": (lost(DEVICES[1], 0), *trials),
        "cases": CASES,
        "outputs": dict.fromkeys(CASES, OUTPUTS),
        "planned": (*planned_for(trials), *planned_for(trials, Arm.BASE), *planned_for(control_trials(), Arm.CONTROL)),
        "programs": PROGRAMS,
        "budgets": {case: Budget(1.1 * us, us, "published") for case, us in WALL_US.items()},
    }
    return evidence(**{**values, **more})


def of_run(arm: Arm = Arm.HEAD) -> list[TrialRecord]:
    """Every trial of one arm of `whole()`."""
    return [_of(case, device, repeat, arm) for case in CASES for device in DEVICES for repeat in range(REPEATS)]


def control_trials() -> list[TrialRecord]:
    """One trial of each case on a second draw of its inputs."""
    return [_of(case, DEVICES[0], 0, Arm.CONTROL).model_copy(update={"seed": 7}) for case in CASES]


def altered(
    trials: Sequence[TrialRecord], chosen: Callable[[TrialRecord], bool], **changes: Any
) -> tuple[TrialRecord, ...]:
    """`trials`, with `changes` in the chosen ones that ran to the end; at least one must be."""
    assert any(each.status is TrialStatus.OK and chosen(each) for each in trials)
    return tuple(
        each.model_copy(update=changes) if each.status is TrialStatus.OK and chosen(each) else each for each in trials
    )


def with_output(name: str, found: OutputRecord) -> dict[str, Mapping[str, OutputRecord]]:
    """Changes of a trial of `whole()` that give its output `name` as `found` and leave the others."""
    return {"outputs": {each: found if each == name else output(f"{each} same") for each in OUTPUTS}}


def changed(base: Evidence, chosen: Callable[[TrialRecord], bool], **changes: Any) -> Evidence:
    """`base` with `changes` in the trials that are chosen; its plan stays."""
    return replace(base, trials=altered(base.trials, chosen, **changes))


def votes(digests: dict[str, str]) -> list[TrialRecord]:
    """`{"d0": "aab"}` as three repeats on d0 whose digests are a, a and b."""
    return [
        trial(device, repeat, digest=letter) for device, row in digests.items() for repeat, letter in enumerate(row)
    ]


def _of(case: str, device: str, repeat: int, arm: Arm) -> TrialRecord:
    return trial(
        device,
        repeat,
        case=case,
        arm=arm,
        attempt=1 if (case, device, repeat) == (CASE, DEVICES[1], 0) else 0,
        wall_us=WALL_US[case],
        fingerprint=PROGRAMS[case],
        outputs={name: output(f"{name} same") for name in OUTPUTS},
    )
