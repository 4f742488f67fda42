"""What a reader should look at first: the findings of every gate that did not pass, and all faults, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from farm.record import Finding, GateStatus, RunRecord
from farm.report.case_view import CaseView
from farm.report.figures import gate, open_gates
from farm.report.text import microseconds, one_line, share

MAX_FINDINGS = 20  # of one gate
_SILENT = (GateStatus.PASSED, GateStatus.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Reason:
    """One gate, or the faults, and what it found."""

    title: str
    sentences: tuple[str, ...]


def reasons(record: RunRecord, cases: list[CaseView]) -> list[Reason]:
    """One entry a gate that did not pass, then the faults; empty where all went well."""
    found = []
    for judged in open_gates(record):
        sentences = [_sentence(finding) for finding in judged.findings[:MAX_FINDINGS]]
        if len(judged.findings) > MAX_FINDINGS:
            sentences.append(f"And {len(judged.findings) - MAX_FINDINGS} more findings; report.json has them all.")
        if judged.name in ("budget", "regression") and judged.status not in _SILENT:
            sentences += _slow_stages(record, judged.name, cases)
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


def _sentence(finding: Finding) -> str:
    place = [
        f"case {one_line(finding.case)}" if finding.case else "",
        f"output {one_line(finding.output)}" if finding.output else "",
        f"device {one_line(finding.device)}" if finding.device else "",
        f"repeat {finding.repeat}" if finding.repeat is not None else "",
    ]
    where = ", ".join(part for part in place if part)
    return f"{where}: {one_line(finding.message)}" if where else one_line(finding.message)


def _slow_stages(record: RunRecord, name: str, cases: list[CaseView]) -> list[str]:
    """For each case the gate names, the stage that makes it slow, as far as its profile tells."""
    judged = gate(record, name)
    named = {finding.case for finding in judged.findings} if judged else set()
    return [sentence for case in cases if case.name in named for sentence in slow_stage(case)]


def slow_stage(case: CaseView) -> list[str]:
    """In one sentence the stage that grew most over the baseline, or, without one, that takes most of the time."""
    if not case.stages:
        return []
    if case.against:
        grown = max(case.stages, key=lambda stage: (stage.critical_delta_us or 0.0, stage.delta_us or 0.0))
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
