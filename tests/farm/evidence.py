"""Builders of trials and evidence for the gates' tests: only what a test is about is spelt out."""

from __future__ import annotations

from collections.abc import Sequence

from farm.gates.protocol import Evidence
from farm.model.budgets import Budget
from jobs.records import Failure, Fault, OutputRecord, ToleranceRecord, TrialRecord, TrialStatus
from kernel.clock import Clock

CASE = "tiny"


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
) -> TrialRecord:
    """One trial that ran to the end, with the single output `q`."""
    return TrialRecord(
        case=CASE,
        device=device,
        repeat=repeat,
        attempt=0,
        status=TrialStatus.OK,
        clock=clock,
        wall_us=wall_us,
        outputs={"q": output(digest, passed)},
    )


def lost(device: str, repeat: int, kind: str = "hang", fault: Fault = Fault.DEVICE) -> TrialRecord:
    """One trial that did not come back."""
    status = TrialStatus.FAILED if fault is Fault.KERNEL else TrialStatus.ERRORED
    failure = Failure(fault=fault, kind=kind, message=f"{kind} on {device}")
    return TrialRecord(
        case=CASE, device=device, repeat=repeat, attempt=0, status=status, clock=Clock.SIMULATED, failure=failure
    )


def evidence(
    trials: Sequence[TrialRecord],
    *,
    noisy: bool = False,
    clock: Clock = Clock.SIMULATED,
    budget: Budget | None = None,
    suspects: Sequence[str] = (),
) -> Evidence:
    """Evidence of one case with the output `q`."""
    return Evidence(
        cases=(CASE,),
        clock=clock,
        noisy=noisy,
        trials=tuple(trials),
        outputs={CASE: ("q",)},
        budgets={CASE: budget} if budget else {},
        suspects=frozenset(suspects),
    )


def votes(digests: dict[str, str]) -> list[TrialRecord]:
    """`{"d0": "aab"}` as three repeats on d0 whose digests are a, a and b."""
    return [
        trial(device, repeat, digest=letter) for device, row in digests.items() for repeat, letter in enumerate(row)
    ]
