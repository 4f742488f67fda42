"""Runs that failed for one known reason each, as the farm records them."""

from __future__ import annotations

from dataclasses import replace

from farm.gates.budget import medians
from farm.gates.determinism import distrusted_devices, suspect_devices
from farm.gates.protocol import Evidence
from farm.gates.verdict import decide
from farm.model.budgets import Budget
from farm.model.run import RunRecord
from farm.validation.state import GATES
from jobs.records import ErrorHistogramRecord, NeighbourhoodRecord, OutputRecord, TaskRecord
from tests.farm import samples
from tests.farm.evidence import planned_for

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


def judged(record: RunRecord) -> RunRecord:
    """`record` with what the gates of a run make of its trials, under a ceiling of 90 µs."""
    evidence = Evidence(
        cases=tuple(record.cases),
        clock=record.clock,
        noisy=False,
        trials=tuple(record.trials),
        outputs=dict.fromkeys(record.cases, samples.OUTPUTS),
        planned=planned_for(record.trials),
        cards={held.id: f"{held.node}/{held.card}" if held.card else held.id for held in record.devices},
        budgets={case: Budget(90.0, None, "budgets.toml") for case in record.cases},
    )
    evidence = replace(evidence, suspects=distrusted_devices(evidence), looked_again=suspect_devices(evidence))
    gates = [gate.judge(evidence) for gate in GATES]
    verdict, reason = decide(record.builds, record.trials, gates, "", [])
    said = {"gates": gates, "verdict": verdict, "reason": reason, "median_us": medians(evidence)}
    return record.model_copy(update=said)


def wrong_numbers() -> RunRecord:
    """One device computes wrong numbers in `q`, the same ones in every repeat and at the second look."""
    base = passed()
    second_look = [samples.trial(CULPRIT, repeat, tasks=tasks(), wall_us=47.0) for repeat in (3, 4, 5)]
    wrong = {name: output(name, wrong=name == "q", digest="bad" if name == "q" else "") for name in samples.OUTPUTS}
    trials = [
        trial.model_copy(update={"outputs": wrong}) if trial.device == CULPRIT else trial
        for trial in [*base.trials, *second_look]
    ]
    return judged(base.model_copy(update={"trials": trials}))


def wrong_program() -> RunRecord:
    """Every device computes the same wrong numbers in `q`."""
    base = passed()
    wrong = {name: output(name, wrong=name == "q") for name in samples.OUTPUTS}
    return judged(
        base.model_copy(update={"trials": [each.model_copy(update={"outputs": wrong}) for each in base.trials]})
    )


def slow_stage() -> RunRecord:
    """Over its ceiling of 90 µs, because q-proj takes 80 µs."""
    base = passed()
    trials = [trial.model_copy(update={"tasks": tasks(80.0), "wall_us": 96.5}) for trial in base.trials]
    return judged(base.model_copy(update={"run_id": "20261123-160000-ab99ff", "trials": trials}))


def race() -> RunRecord:
    """One device gives other bits of `kv` in its repeat 2 than in the others: a race, or an unsteady card."""
    base = passed()
    trials = [
        trial.model_copy(update={"outputs": {**trial.outputs, "kv": output("kv", digest="raced")}})
        if (trial.device, trial.repeat) == (CULPRIT, 2)
        else trial
        for trial in base.trials
    ]
    return judged(base.model_copy(update={"trials": trials}))
