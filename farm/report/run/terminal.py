"""What a person sees when a run is over, and from `farm report RUN`: the answer first, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.analysis import plausible_gain
from farm.analysis.figures import CaseTime, WorstOutput, agreement, case_times, open_gates, time_spent, worst_outputs
from farm.model.run import GateStatus, RunRecord, Verdict
from farm.report.charts.sparkline import sparkline
from farm.report.console import NamedRows
from farm.report.harness.terminal import files
from farm.report.run import merge_base, provenance
from farm.report.run.finding_groups import grouped
from farm.report.run.first_findings import explanation, median_stages
from farm.text import allowed_outliers, counted, microseconds, one_line, outlier_count, scientific, signed_share
from kernel.clock import Clock

VERDICT_STYLES = {Verdict.PASSED: "bold green", Verdict.FAILED: "bold red", Verdict.ERRORED: "bold yellow"}
_MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.ERRORED: "!"}
_SHOWN_FINDINGS = 5
_SHOWN_DEVICES = 8
_SHOWN_HISTORY = 24  # runs


def summary(record: RunRecord, history: Mapping[str, Sequence[float]] | None = None) -> RenderableType:
    """The run on about a dozen lines. Every name is taken as text, never as markup.

    `history` is the medians of each case, oldest first, this run's last, all in µs of the run's clock.
    """
    if record.harness is not None:
        return Group(_headline(record), _subject(record), Text(), files(record, record.harness))
    times = case_times(record)
    parts: list[RenderableType] = [_headline(record), _subject(record), Text()]
    parts.append(_times(times))
    parts += [Text(one_line(f"{time.case}: {remark}"), "dim") for time in times for remark in time.remarks]
    parts += [_history(case, us, len(times) > 1) for case, us in (history or {}).items() if len(us) > 1]
    outputs = [worst for case in record.cases for worst in worst_outputs(record, case)]
    if outputs:
        parts += [Text(), _outputs(outputs)]
    parts += [Text(), _facts(record)]
    if record.clock is Clock.SIMULATED:
        parts.append(Text("simulated µs are a cost model's, not a device's", style="dim"))
    return Group(*parts)


def verdict_text(verdict: Verdict | None) -> Text:
    """The verdict as a coloured word; `running` where there is none."""
    return Text(verdict.value, VERDICT_STYLES[verdict]) if verdict else Text("running", "cyan")


def _headline(record: RunRecord) -> Text:
    line = Text()
    if record.verdict:
        line.append(f"{_MARKS[record.verdict]} ", VERDICT_STYLES[record.verdict])
    line.append(verdict_text(record.verdict))
    if record.request.local:
        line.append(" (local)")
    return line.append(f"  {one_line(record.reason)}")


def _subject(record: RunRecord) -> Text:
    commit = one_line(record.commit)
    short = commit[:12] + ("-dirty" if commit.endswith("-dirty") else "") if len(commit) >= 40 else commit
    why = f" ({one_line(record.commit_unknown)})" if record.commit_unknown else ""
    where = f"{one_line(record.kernel)} on {one_line(record.platform)} at {short}{why}"
    return Text(f"  {where}, run {record.run_id}", "dim")


def _table(*columns: tuple[str, bool]) -> Table:
    """A borderless table; each column is (heading, is a number)."""
    table = NamedRows()
    for heading, number in columns:
        table.add_column(heading, justify="right" if number else "left", no_wrap=number)
    return table


def _times(times: list[CaseTime]) -> Table:
    table = _table(("case", False), ("median µs", True), ("± MAD", True), ("budget", True), ("left", True))
    table.add_column("set by", no_wrap=True)
    for time in times:
        over = time.left is not None and time.left < 0
        table.add_row(
            Text(one_line(time.case)),
            Text(microseconds(time.median_us), "bold"),
            microseconds(time.mad_us),
            microseconds(time.limit_us),
            Text("–" if time.left is None else signed_share(time.left), "red" if over else ""),
            time.set_by or "–",
        )
    return table


def _history(case: str, us: Sequence[float], several: bool) -> Text:
    """The last medians as bars, from their lowest to their highest."""
    shown = us[-_SHOWN_HISTORY:]
    line = Text(f"history {one_line(case)}  " if several else "history  ", "dim")
    line.append(sparkline(shown), "cyan")
    return line.append(
        f"  {counted(len(shown), 'run')}, {microseconds(min(shown))} to {microseconds(max(shown))} µs", "dim"
    )


def _outputs(outputs: list[WorstOutput]) -> Table:
    several = len({worst.case for worst in outputs}) > 1
    table = _table(("output", False), ("outliers", True), ("allowed", True), ("abs err", True), ("rel err", True))
    table.add_column("worst at")
    for worst in outputs:
        tolerance = worst.worst.tolerance
        name = f"{worst.case} {worst.output}" if several else worst.output
        where = f"{tolerance.worst_index} {worst.device} r{worst.repeat}"
        table.add_row(
            Text(("" if worst.passed else "✗ ") + one_line(name), "" if worst.passed else "red"),
            outlier_count(worst.worst),
            f"{allowed_outliers(worst.worst):,}",
            scientific(tolerance.max_abs_err),
            scientific(tolerance.max_rel_err),
            Text(one_line(tolerance.problem or where)),
        )
    return table


def _facts(record: RunRecord) -> Table:
    """Labelled lines: what agrees, on what, what the gates found, and where the files are."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for case in record.cases:
        label = "determinism" if len(record.cases) == 1 else f"determinism {one_line(case)}"
        table.add_row(Text(label), _agreement(record, case))
    table.add_row("devices", Text(_devices(record)))
    if record.request.local:
        table.add_row("", Text(provenance.LOCAL))
    for label, said in _findings(record):
        table.add_row(Text(label), Text(said))
    for label, said, odd in _program(record):
        table.add_row(Text(label), Text(one_line(said), "yellow" if odd else ""))
    for failure in record.failures[:_SHOWN_FINDINGS]:
        table.add_row(Text(f"{failure.fault.value} fault"), Text(one_line(failure.message)))
    if record.finished_at:
        table.add_row("time", Text(time_spent(record)))
    if record.resumed_from:
        table.add_row("goes on with", Text(f"run {one_line(record.resumed_from)}"))
    if record.directory:
        table.add_row("files", Text(one_line(record.directory) + "/"))
    return table


def _findings(record: RunRecord) -> list[tuple[str, str]]:
    """(label, words) of what the gates that did not pass found, and what the trials tell about it."""
    lines: list[tuple[str, str]] = []
    left = 0
    for judged in open_gates(record):
        label = f"{judged.name} {judged.status.value}"
        groups = grouped(judged.findings)
        shown = groups[: max(0, _SHOWN_FINDINGS - len(lines))]
        left += len(groups) - len(shown)
        for group in shown:
            parts = (group.case, group.on_devices, group.in_repeats, group.output)
            place = ", ".join(one_line(part) for part in parts if part)
            said = one_line(group.message)
            lines.append((label, f"{place}: {said}" if place else said))
        lines += [("", said) for said in explanation(record, judged, median_stages(record))[:_SHOWN_FINDINGS]]
    return [*lines, ("", f"and {counted(left, 'more finding')} in the report")] if left else lines


def _program(record: RunRecord) -> list[tuple[str, str, bool]]:
    """(label, words, whether a reader must know) of a program from a commit; none of the installed one."""
    lines: list[tuple[str, str, bool]] = []
    for of_case in merge_base.base_cases(record):
        label = "merge base" if len(record.cases) == 1 else f"merge base {one_line(of_case.case)}"
        lines.append((label, merge_base.sentence(of_case), of_case.status not in (None, GateStatus.PASSED)))
    if record.source is not None:
        lines.append(("rules", provenance.rules(record.source), bool(record.source.rule_changes)))
        lines.append(("gain", provenance.gain(record), bool(plausible_gain.implausible(record))))
    for each in provenance.isolation(record):
        said = f"none on {', '.join(each.devices)}: {each.lacks}" if each.lacks else each.by
        lines.append(("isolation", said, bool(each.lacks)))
    return lines


def _agreement(record: RunRecord, case: str) -> Text:
    found = agreement(record, case)
    if found.trials < 2:
        return Text("nothing to compare", "dim")
    if found.odd:
        return Text(f"{one_line('; '.join(found.odd))} differs, of {found.extent}", "red")
    return Text(f"bit-identical on {found.extent}")


def _devices(record: RunRecord) -> str:
    names = [one_line(held.id) for held in record.devices]
    more = f" and {len(names) - _SHOWN_DEVICES} more" if len(names) > _SHOWN_DEVICES else ""
    socs = ", ".join(dict.fromkeys(one_line(held.soc) for held in record.devices))
    return f"{', '.join(names[:_SHOWN_DEVICES])}{more} ({socs})" if names else "none"
