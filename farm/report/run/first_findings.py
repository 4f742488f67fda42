"""What a reader should look at first: the findings of every gate that did not pass, and all faults, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from farm.analysis.figures import median_trial, open_gates
from farm.analysis.stages import StageTime, profile, stage_times
from farm.model.run import GateRecord, GateStatus, RunRecord
from farm.report.run.attribution import attribution
from farm.report.run.finding_groups import FindingGroup, grouped
from farm.text import counted, microseconds, one_line, share

MAX_FINDINGS = 20  # of one gate
_SILENT = (GateStatus.PASSED, GateStatus.NOT_APPLICABLE)


class Staged(Protocol):
    """The stages of one case's median trial, the longest part of the critical path first."""

    @property
    def name(self) -> str:
        """The case."""
        ...

    @property
    def stages(self) -> tuple[StageTime, ...]:
        """Empty without a profile."""
        ...

    @property
    def against(self) -> str:
        """What their differences are to; "" for nothing."""
        ...


@dataclass(frozen=True, slots=True)
class MedianStages:
    """`Staged` and nothing else."""

    name: str
    stages: tuple[StageTime, ...]
    against: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """One gate, or the faults, and what it found."""

    title: str
    sentences: tuple[str, ...]


def reasons(record: RunRecord, cases: Sequence[Staged]) -> list[Reason]:
    """One entry a gate that did not pass, then the faults; empty where all went well."""
    found = []
    for judged in open_gates(record):
        groups = grouped(judged.findings)
        sentences = [_sentence(group) for group in groups[:MAX_FINDINGS]]
        if len(groups) > MAX_FINDINGS:
            sentences.append(f"And {counted(len(groups) - MAX_FINDINGS, 'more finding')}; report.json has them all.")
        sentences += explanation(record, judged, cases)[:MAX_FINDINGS]
        found.append(Reason(f"{one_line(judged.name)}: {judged.status.value}", tuple(sentences)))
    failures = [build.failure for build in record.builds] + [trial.failure for trial in record.trials]
    lines = dict.fromkeys(
        f"Fault of the {failure.fault.value}, {one_line(failure.kind)}: {one_line(failure.message)}"
        for failure in (*failures, *record.failures)
        if failure is not None
    )
    if lines:
        sentences = [*list(lines)[:MAX_FINDINGS]]
        sentences += [f"And {len(lines) - MAX_FINDINGS} more."] if len(lines) > MAX_FINDINGS else []
        found.append(Reason("faults", tuple(sentences)))
    return found


def _sentence(group: FindingGroup) -> str:
    place = [
        f"case {one_line(group.case)}" if group.case else "",
        f"output {one_line(group.output)}" if group.output else "",
        one_line(group.on_devices),
        one_line(group.in_repeats),
    ]
    where = ", ".join(part for part in place if part)
    return f"{where}: {one_line(group.message)}" if where else one_line(group.message)


def median_stages(record: RunRecord) -> list[MedianStages]:
    """The stages of each case's median trial, without a baseline; none of a case without a profile."""
    trials = {case: median_trial(record, case) for case in record.cases}
    return [
        MedianStages(case, tuple(stage_times(profile(list(trial.tasks)))))
        for case, trial in trials.items()
        if trial is not None
    ]


def explanation(record: RunRecord, judged: GateRecord, cases: Sequence[Staged]) -> list[str]:
    """What the trials tell beyond the findings of a gate that did not pass: whose doing it is, which stage is slow."""
    if judged.status in _SILENT:
        return []
    if judged.name not in ("budget", "regression"):
        return attribution(record, judged)
    named = {finding.case for finding in judged.findings}
    return [sentence for case in cases if case.name in named for sentence in slow_stage(case)]


def slow_stage(case: Staged) -> list[str]:
    """In one sentence the stage that grew most over the baseline, or, without one, that takes most of the time."""
    if not case.stages:
        return []
    if case.against:
        # More tasks of a stage delay the path by the gaps between them, even where its own part of the path shrinks.
        grown = max(case.stages, key=lambda stage: (max(stage.critical_delta_us or 0.0, 0.0), stage.delta_us or 0.0))
        if (grown.delta_us or 0.0) > 0 or (grown.critical_delta_us or 0.0) > 0:
            on_path = grown.critical_delta_us
            path = "" if on_path is None else f", {on_path:+.2f} µs on the critical path"
            return [
                f"Case {one_line(case.name)}: stage {one_line(grown.stage) or 'unnamed'} grew most against "
                f"{one_line(case.against)}: {grown.delta_us or 0.0:+.2f} µs over all cores{path}."
            ]
    longest = case.stages[0]
    if longest.critical_us is not None and longest.critical_share is not None:
        return [
            f"Case {one_line(case.name)}: the longest part of the critical path is stage "
            f"{one_line(longest.stage) or 'unnamed'} with {microseconds(longest.critical_us)} µs, "
            f"{share(longest.critical_share)} of the time."
        ]
    biggest = max(case.stages, key=lambda stage: stage.total_us)
    return [
        f"Case {one_line(case.name)}: stage {one_line(biggest.stage) or 'unnamed'} takes most core time, "
        f"{microseconds(biggest.total_us)} µs over all cores in {biggest.tasks} tasks."
    ]
