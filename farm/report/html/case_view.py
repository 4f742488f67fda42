"""Everything a page shows of one case, worked out once from the record."""

from __future__ import annotations

from dataclasses import dataclass

from farm.analysis.digests import Matrix, matrix
from farm.analysis.figures import CaseTime, WorstOutput, case_times, measured, median_trial, worst_outputs
from farm.analysis.stages import CoreTime, StageTime, core_times, profile, stage_times, waiting_share, waiting_us
from farm.model.run import RunRecord
from farm.report.charts.chart import Chart
from farm.report.charts.errors import error_chart
from farm.report.charts.timeline import MAX_TASKS, timeline_chart
from farm.report.charts.wall_time import wall_chart
from farm.report.harness import figures
from jobs.records import BuildRecord, ClaimRecord, TrialRecord

MAX_NEIGHBOURHOODS = 4  # of a case; outputs with wrong numbers come first
MAX_CHARTED = 16  # cases with charts; the others have their tables
MAX_CHARTED_TARGETS = 200  # of a suite; the page of more has the room for their rows


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case. `against` names what it is compared with, "" where nothing is."""

    name: str
    time: CaseTime
    outputs: tuple[WorstOutput, ...]
    worst: tuple[WorstOutput, ...]  # those with outliers whose neighbourhood is known
    claims: tuple[Claimed, ...]  # where a harness compared, instead of the farm
    matrix: Matrix
    trial: TrialRecord | None  # the median one among those with tasks
    stages: tuple[StageTime, ...]
    cores: tuple[CoreTime, ...]
    waiting_us: float | None
    waiting_share: float | None  # of the wall time
    knobs: tuple[Knob, ...]
    build: BuildRecord | None
    against: str
    base_us: float | None
    wall: Chart | None
    errors: Chart | None
    timeline: Chart | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a harness says of one output, in the trial where it says the worst."""

    output: str
    claim: ClaimRecord
    device: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Knob:
    """One knob of the tuning that was set for this run or differs from the baseline's."""

    name: str
    value: str
    base: str | None  # None where there is no baseline
    asked: bool  # set on the command line


def case_views(
    record: RunRecord, baseline: RunRecord | None = None, called: str = "", most: int = 40, tasks: int = 2 * MAX_TASKS
) -> list[CaseView]:
    """One entry a case, at most `most`; of a suite those of the gravest targets. `baseline` is a run to compare with.

    `called` is what to call the baseline. All timelines together draw at most `tasks`, and a run of more than
    `MAX_CHARTED_TARGETS` of a suite has no charts. Raises `TypeError` for a baseline of the other clock: simulated and
    measured µs are never compared.
    """
    if baseline is not None and baseline.clock is not record.clock:
        raise TypeError(f"a {record.clock.value} run cannot be compared with a {baseline.clock.value} one")
    times = case_times(record)
    charted = MAX_CHARTED
    if record.harness is not None:
        order = {row.file.file: place for place, row in enumerate(figures.of(record, record.harness))}
        times.sort(key=lambda time: order.get(time.case, len(order)))
        charted = MAX_CHARTED if len(times) <= MAX_CHARTED_TARGETS else 0
    times = times[:most]
    each = min(MAX_TASKS, tasks // min(max(len(times), 1), MAX_CHARTED))
    whose = called if baseline else ""
    return [
        _view(record, time, number, baseline, whose, each, charted=number < charted)
        for number, time in enumerate(times)
    ]


def _view(
    record: RunRecord,
    time: CaseTime,
    number: int,
    baseline: RunRecord | None,
    called: str,
    max_tasks: int,
    *,
    charted: bool,
) -> CaseView:
    case = time.case
    trials = measured(record, case)
    trial = median_trial(record, case)
    tasks = list(trial.tasks) if trial else []
    found = profile(tasks)
    base_trial = median_trial(baseline, case) if baseline else None
    base_median = baseline.median_us.get(case) if baseline else None
    base_us = base_median.overall if base_median else None
    outputs = worst_outputs(record, case)
    build = next((build for build in record.builds if build.case == case), None)
    return CaseView(
        name=case,
        time=time,
        outputs=tuple(outputs),
        worst=_worst(outputs),
        claims=_claims(record, case),
        matrix=matrix(trials),
        trial=trial,
        stages=tuple(stage_times(found, profile(list(base_trial.tasks)) if base_trial else None)),
        cores=tuple(core_times(tasks)),
        waiting_us=waiting_us(found),
        waiting_share=waiting_share(found),
        knobs=_knobs(record, build, baseline),
        build=build,
        against=called if base_us is not None or base_trial else "",
        base_us=base_us,
        wall=wall_chart(f"wall-{number}", time, trials, base_us) if charted and trials else None,
        errors=error_chart(f"errors-{number}", case, outputs) if charted else None,
        timeline=timeline_chart(f"timeline-{number}", trial, found, max_tasks)
        if charted and trial and max_tasks
        else None,
    )


def _worst(outputs: list[WorstOutput]) -> tuple[WorstOutput, ...]:
    known = [found for found in outputs if found.worst.tolerance.around_worst and found.worst.tolerance.outlier_share]
    return tuple(sorted(known, key=lambda found: found.passed)[:MAX_NEIGHBOURHOODS])


def _claims(record: RunRecord, case: str) -> tuple[Claimed, ...]:
    found: dict[str, Claimed] = {}
    for trial in record.trials:
        for name, claim in trial.claims.items() if trial.case == case else ():
            if name not in found or (found[name].claim.passed and not claim.passed):
                found[name] = Claimed(name, claim, trial.device, trial.repeat)
    return tuple(found.values())


def _knobs(record: RunRecord, build: BuildRecord | None, baseline: RunRecord | None) -> tuple[Knob, ...]:
    in_force = {name: str(value) for name, value in build.tuning.items()} if build else {}
    base_build = (
        next((each for each in baseline.builds if build and each.case == build.case), None) if baseline else None
    )
    base = {name: str(value) for name, value in base_build.tuning.items()} if base_build else {}
    asked = record.request.tuning
    names = dict.fromkeys(
        [*asked, *(name for name in {**in_force, **base} if base and in_force.get(name) != base.get(name))]
    )
    return tuple(
        Knob(name, in_force.get(name, asked.get(name, "–")), base.get(name, "–") if base else None, name in asked)
        for name in names
    )
