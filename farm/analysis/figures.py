"""The numbers every report shows, computed once from the record. Pure functions; nothing here judges."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from farm.analysis.time_remarks import odd_trials
from farm.model.run import GateRecord, GateStatus, RunRecord
from farm.text import counted
from jobs.records import OutputRecord, TrialRecord, TrialStatus
from kernel.clock import Clock, wall_time


@dataclass(frozen=True, slots=True)
class CaseTime:
    """One case's wall time against what it was held to. All µs are of `clock`."""

    case: str
    clock: Clock
    median_us: float | None
    mad_us: float | None
    interval_us: tuple[float, float] | None  # 95 % interval of the median, on a noisy platform
    samples: int
    per_device: dict[str, float]
    ceiling_us: float | None
    ratchet_us: float | None
    comparable: bool  # whether the budget is of the same clock
    remarks: tuple[str, ...] = ()  # outliers, in words

    @property
    def limit_us(self) -> float | None:
        """What the median is held to: the stricter of ceiling and best landed time."""
        return min((us for us in (self.ceiling_us, self.ratchet_us) if us is not None), default=None)

    @property
    def left(self) -> float | None:
        """Share of the limit that is left: negative over it, positive for a gain. Every report shows this one."""
        return self.left_of(self.limit_us) if self.comparable else None

    @property
    def set_by(self) -> str:
        """Which of the two the limit is, in words; "" without one."""
        if self.limit_us is None:
            return ""
        return "best landed" if self.ratchet_us == self.limit_us else "ceiling"

    def left_of(self, us: float | None) -> float | None:
        """Return the share of `us` that the median leaves; negative where it takes more."""
        if us is None or self.median_us is None or not us:
            return None
        return (wall_time(us, self.clock) - wall_time(self.median_us, self.clock)) / us


@dataclass(frozen=True, slots=True)
class WorstOutput:
    """One output of one case where it is farthest from what was expected, over all measured trials."""

    case: str
    output: str
    trials: int
    passed: bool
    worst: OutputRecord  # of the trial with the largest outlier share, then the largest absolute error
    device: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the bits of one case's outputs agree."""

    case: str
    devices: int
    repeats: tuple[int, int]  # measured on a device: the fewest and the most
    trials: int
    odd: tuple[str, ...]  # "kv on 10.0.0.1/2 (repeats 0, 1)": whoever differs from the commonest bits; none: all agree

    @property
    def extent(self) -> str:
        """How much was compared: `3 devices × 3 repeats`, `3 devices × 2 to 30 repeats` where a device stood in."""
        fewest, most = self.repeats
        repeats = counted(most, "repeat")
        return f"{counted(self.devices, 'device')} × {repeats if fewest == most else f'{fewest} to {repeats}'}"


@dataclass(frozen=True, slots=True)
class StageTotal:
    """One stage's tasks in one trial."""

    stage: str
    tasks: int
    mean_us: float
    total_us: float  # over all cores, so the totals of all stages may exceed the wall time


def gate(record: RunRecord, name: str) -> GateRecord | None:
    """The judgement of the gate called `name`, if it gave one."""
    return next((found for found in record.gates if found.name == name), None)


def measured(record: RunRecord, case: str) -> list[TrialRecord]:
    """The trials of `case` that ran to the end."""
    return [trial for trial in record.trials if trial.case == case and trial.status is TrialStatus.OK]


def case_times(record: RunRecord) -> list[CaseTime]:
    """One entry per case of the run, in its order; without a median where nothing was measured."""
    trials: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in record.trials:
        if trial.status is TrialStatus.OK:
            trials[trial.case].append(trial)
    return [_case_time(record, case, trials[case]) for case in record.cases]


def worst_outputs(record: RunRecord, case: str) -> list[WorstOutput]:
    """One entry per output, in the order the trials have them."""
    by_output: dict[str, list[tuple[TrialRecord, OutputRecord]]] = defaultdict(list)
    for trial in measured(record, case):
        for name, output in trial.outputs.items():
            by_output[name].append((trial, output))
    found = []
    for name, seen in by_output.items():
        trial, worst = max(seen, key=lambda pair: _badness(pair[1]))
        passed = all(output.tolerance.passed for _, output in seen)
        found.append(WorstOutput(case, name, len(seen), passed, worst, trial.device, trial.repeat))
    return found


def agreement(record: RunRecord, case: str) -> Agreement:
    """Which devices' bits differ from the commonest ones, per output."""
    trials = measured(record, case)
    repeats = Counter(trial.device for trial in trials)
    odd = [line for name in _output_names(trials) for line in _odd_lines(trials, name)]
    counts = sorted(repeats.values()) or [0]
    return Agreement(case, len(repeats), (counts[0], counts[-1]), len(trials), tuple(odd))


def median_trial(record: RunRecord, case: str) -> TrialRecord | None:
    """The trial nearest the case's median among those with tasks; the faster of two. None where none has tasks."""
    profiled = [trial for trial in measured(record, case) if trial.tasks and trial.wall_us is not None]
    ordered = sorted(profiled, key=lambda trial: (trial.wall_us or 0.0, trial.device, trial.repeat))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def stage_totals(record: RunRecord, case: str) -> list[StageTotal]:
    """The stages of the trial nearest the case's median, slowest first; empty without a task profile."""
    trial = median_trial(record, case)
    durations: dict[str, list[float]] = defaultdict(list)
    for task in trial.tasks if trial else []:
        durations[task.stage].append(task.duration_us)
    totals = [StageTotal(stage, len(us), sum(us) / len(us), sum(us)) for stage, us in durations.items()]
    return sorted(totals, key=lambda total: (-total.total_us, total.stage))


def open_gates(record: RunRecord) -> list[GateRecord]:
    """Gates that did not pass."""
    return [found for found in record.gates if found.status is not GateStatus.PASSED]


def stood_in_for(record: RunRecord, trial: TrialRecord) -> bool:
    """True where every trial lost with this one (same case, repeat and attempt) was tried again elsewhere."""
    slot = (trial.case, trial.repeat, trial.attempt)
    same = [other for other in record.trials if (other.case, other.repeat, other.attempt) == slot]
    lost = [other for other in same if other.status is TrialStatus.ERRORED]
    again = (trial.case, trial.repeat, trial.attempt + 1)
    return len([other for other in record.trials if (other.case, other.repeat, other.attempt) == again]) >= len(lost)


def _case_time(record: RunRecord, case: str, trials: list[TrialRecord]) -> CaseTime:
    median = record.median_us.get(case)
    budget = record.budget.get(case)
    overall = median.overall if median else None
    clock = median.clock if median else record.clock
    ceiling = budget.ceiling_us if budget else None
    ratchet = budget.ratchet_us if budget else None
    comparable = budget is not None and budget.clock is clock
    interval = median.interval_us if median else None
    return CaseTime(
        case=case,
        clock=clock,
        median_us=overall,
        mad_us=median.mad_us if median else None,
        interval_us=(interval[0], interval[1]) if interval else None,
        samples=len(median.samples) if median else 0,
        per_device=dict(median.per_device) if median else {},
        ceiling_us=ceiling,
        ratchet_us=ratchet,
        comparable=comparable,
        remarks=tuple(odd_trials(trials)),
    )


def _badness(output: OutputRecord) -> tuple[bool, float, float]:
    tolerance = output.tolerance
    unbounded = bool(tolerance.problem or tolerance.nonfinite)
    return (unbounded or not tolerance.passed, tolerance.outlier_share, tolerance.max_abs_err or 0.0)


def _output_names(trials: list[TrialRecord]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.outputs))


def _odd_lines(trials: list[TrialRecord], name: str) -> list[str]:
    holders = [trial for trial in trials if name in trial.outputs]
    digests = Counter(trial.outputs[name].sha256 for trial in holders)
    common, votes = digests.most_common(1)[0]
    if len(digests) > 1 and 2 * votes <= len(holders):
        return [f"{name}: {len(digests)} different results in {len(holders)} trials, no majority"]
    repeats: dict[str, list[int]] = defaultdict(list)
    for trial in holders:
        if trial.outputs[name].sha256 != common:
            repeats[trial.device].append(trial.repeat)
    return [
        f"{name} on {device} (repeat{'s' if len(odd) > 1 else ''} {', '.join(map(str, sorted(odd)))})"
        for device, odd in repeats.items()
    ]


def time_spent(record: RunRecord) -> str:
    """How long the run waited and how long it ran, which are two different times; "" while it runs."""
    if record.finished_at is None:
        return ""
    ran = datetime.fromisoformat(record.finished_at) - datetime.fromisoformat(record.started_at)
    limit = "" if record.run_limit_s is None else f" of at most {_duration(record.run_limit_s)}"
    return f"waited {_duration(record.queue_s)} for devices, ran {_duration(ran.total_seconds())}{limit}"


def _duration(seconds: float) -> str:
    """As a person says it: `12 s`, `3 min`, `5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
