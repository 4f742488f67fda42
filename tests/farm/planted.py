"""Runs that failed for one known reason each, as the farm records them."""

from __future__ import annotations

from farm.record import Finding, GateStatus, RunRecord, Verdict
from jobs.records import ErrorHistogramRecord, NeighbourhoodRecord, OutputRecord, TaskRecord
from tests.farm import samples

CULPRIT = "10.0.0.1/1"


def errors(beyond: int) -> ErrorHistogramRecord:
    """A million elements, `beyond` of them outliers."""
    return ErrorHistogramRecord(edges=[0.0, 0.5, 1.0, 4.0], counts=[600_000, 300_000, 100_000 - beyond, beyond, 0])


def output(name: str, *, wrong: bool = False, digest: str = "") -> OutputRecord:
    around = NeighbourhoodRecord(
        first=58, actual=[0.5, 0.25, 99.0 if wrong else 1.5, None], expected=[0.5, 0.25, 1.5, 1.0]
    )
    changes = {"passed": False, "outlier_share": 0.031, "worst_actual": 99.0} if wrong else {"outlier_share": 0.0001}
    return samples.output(
        name, digest, errors=errors(31_000 if wrong else 100), around_worst=around, **{"worst_expected": 1.5, **changes}
    )


def tasks(q_proj_us: float = 30.5) -> list[TaskRecord]:
    """A chain norm → q-proj → rope on three cores, with a cache task beside it."""
    return [
        TaskRecord(name="norm", stage="attn-norm", core="AIV_0", start_us=0.0, duration_us=5.0),
        TaskRecord(name="cache", stage="kv-cache", core="AIV_1", start_us=0.0, duration_us=8.0),
        TaskRecord(name="mm", stage="q-proj", core="AIC_0", start_us=5.5, duration_us=q_proj_us, after=["norm"]),
        TaskRecord(
            name="rope", stage="rope", core="AIV_0", start_us=5.5 + q_proj_us, duration_us=11.0, after=["mm", "cache"]
        ),
    ]


def passed() -> RunRecord:
    """Three devices, three repeats, nothing wrong; the wall time is 47 µs."""
    outputs = {name: output(name) for name in samples.OUTPUTS}
    devices = [samples.device(index) for index in range(3)]
    trials = [
        samples.trial(held.id, repeat, outputs=outputs, tasks=tasks(), wall_us=47.0)
        for held in devices
        for repeat in range(3)
    ]
    return samples.run(trials=trials)


def wrong_numbers() -> RunRecord:
    """One device computes wrong numbers in `q`, the same ones in every repeat."""
    base = passed()
    trials = [
        trial.model_copy(update={"outputs": {**trial.outputs, "q": output("q", wrong=True, digest="bad")}})
        if trial.device == CULPRIT
        else trial
        for trial in base.trials
    ]
    message = "3.1000% of the elements are outliers, 0.5000% allowed; worst at [3, 1, 60]: 99 for 1.5"
    findings = [
        Finding(message=message, case=samples.CASE, device=CULPRIT, repeat=repeat, output="q") for repeat in range(3)
    ]
    return base.model_copy(
        update={
            "verdict": Verdict.FAILED,
            "reason": f"tolerance failed: flash-s2, output q, device {CULPRIT}: {message} (and 2 more)",
            "trials": trials,
            "gates": samples.failed_gate("tolerance", *findings),
        }
    )


def slow_stage() -> RunRecord:
    """Over its ceiling of 90 µs, because q-proj takes 80 µs."""
    trials = [
        trial.model_copy(update={"tasks": tasks(80.0), "wall_us": 96.5, "outputs": trial.outputs})
        for trial in passed().trials
    ]
    message = "median 96.50 µs is over the ceiling of 90.00 µs"
    findings = [Finding(message=message, case=samples.CASE, device=f"10.0.0.1/{index}") for index in range(3)]
    return samples.run(
        run_id="20261123-160000-ab99ff",
        verdict=Verdict.FAILED,
        reason=f"budget failed: flash-s2, device 10.0.0.1/0: {message} (and 2 more)",
        trials=trials,
        gates=samples.failed_gate("budget", *findings),
    )


def race() -> RunRecord:
    """One device gives other bits of `kv` in its repeat 2 than in the others."""
    base = passed()
    trials = [
        trial.model_copy(update={"outputs": {**trial.outputs, "kv": output("kv", digest="raced")}})
        if (trial.device, trial.repeat) == (CULPRIT, 2)
        else trial
        for trial in base.trials
    ]
    message = "the kernel races: the device disagrees with itself, 2 different results, odd repeats 2"
    finding = Finding(
        message=message, case=samples.CASE, device=CULPRIT, repeat=2, output="kv", status=GateStatus.FAILED
    )
    return base.model_copy(
        update={
            "verdict": Verdict.FAILED,
            "reason": f"determinism failed: flash-s2, output kv, device {CULPRIT}: {message}",
            "trials": trials,
            "gates": samples.failed_gate("determinism", finding),
        }
    )
