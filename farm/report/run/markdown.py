"""`report.md`: the comment on a pull request. The answer first, then the numbers, then what to look at.

Everything from outside (names, branch and tuning values, messages) is hostile until escaped: names become code spans,
sentences lose their markup, mentions and links.
"""

from __future__ import annotations

import re

from farm.analysis import plausible_gain
from farm.analysis.figures import agreement, case_times, gate, open_gates, stage_totals, time_spent, worst_outputs
from farm.model.run import GateStatus, HarnessRecord, RunRecord, SourceRecord, Verdict
from farm.report.harness import figures
from farm.report.run import merge_base, provenance
from farm.report.run.finding_groups import FindingGroup, grouped
from farm.report.run.first_findings import explanation, median_stages
from farm.text import allowed_outliers, counted, microseconds, one_line, outlier_count, scientific, share, signed_share
from kernel.clock import Clock

_SHOWN_FINDINGS = 20  # per gate; a comment has a size limit
_SHOWN_STAGES = 8
_SHOWN_FILES = 200
_SHOWN_DEVICES = 32
_MARKS = {Verdict.PASSED: "✅ passed", Verdict.FAILED: "❌ failed", Verdict.ERRORED: "⚠️ errored"}
_GATE_MARKS: dict[GateStatus | None, str] = {
    GateStatus.PASSED: "✅",
    GateStatus.FAILED: "❌",
    GateStatus.ERRORED: "⚠️",
    GateStatus.INCONCLUSIVE: "⚠️",
}


class MarkdownReport:
    """Writes GitHub-flavoured Markdown."""

    name = "md"
    filename = "report.md"

    def write(self, record: RunRecord) -> str:
        """The whole comment."""
        if record.harness is not None:
            return "\n\n".join([_headline(record), *_harness(record, record.harness)]) + "\n"
        sections = [
            _headline(record),
            *(f"**{prose(each)}**" for each in provenance.remarks(record)),
            *_times(record),
            *_merge_base(record),
            *_tolerances(record),
            *_determinism(record),
        ]
        sections += [*_findings(record), *_stages(record), *_program(record), *_footer(record)]
        return "\n\n".join(sections) + "\n"


def _harness(record: RunRecord, harness: HarnessRecord) -> list[str]:
    """Every file of a harness's run, the gravest first, and what no gate could judge."""
    rows = figures.of(record, harness)
    cells = [
        [
            code(row.file.file),
            row.file.status.value,
            prose(row.time),
            code(", ".join(row.devices)) if row.devices else "–",
            f"{row.host_s:.1f}",
            prose(row.told),
        ]
        for row in rows[:_SHOWN_FILES]
    ]
    heads = ["file", "", "time, µs", "devices", "trials, s", "what became of it"]
    sections = [prose(harness.selected), *_set_up(harness), _table(heads, cells)]
    if len(rows) > _SHOWN_FILES:
        sections.append(f"and {counted(len(rows) - _SHOWN_FILES, 'more file')} in report.json")
    return [*sections, *_findings(record)]


def _set_up(harness: HarnessRecord) -> list[str]:
    """A line for each set-up step."""
    lines = [
        f"- set-up {code(name)}: {prose(outcome)}" + (f", log {code(log)}" if log else "")
        for name, outcome, log in figures.set_up(harness)[:_SHOWN_FINDINGS]
    ]
    lines += _more(len(harness.setup), _SHOWN_FINDINGS, "step")
    return ["\n".join(lines)] if lines else []


def code(text: str) -> str:
    """`text` as a code span, in which nothing has a meaning; its fence is longer than any run of backticks inside.

    With a bar in it, as `prose`: parsers disagree on where a table cell with an escaped bar in code ends.
    """
    if "|" in text:
        return prose(text)
    shown = one_line(text) or "(empty)"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def prose(text: str) -> str:
    """`text` as plain words: no markup, HTML, link, mention or issue reference survives."""
    shown = re.sub(r"([\\`*_~\[\]<>&$])", r"\\\1", one_line(text))
    shown = re.sub(r"([@#])", "\\1\N{ZERO WIDTH SPACE}", shown)
    shown = re.sub(r"(?i):(?=//)|www(?=\.)|(?:mailto|xmpp)(?=:)|gh(?=-)", "\\g<0>\N{ZERO WIDTH SPACE}", shown)
    return shown.replace("|", "&#124;")


def _headline(record: RunRecord) -> str:
    word = _MARKS[record.verdict] if record.verdict else "⏳ running"
    why = f" ({prose(record.commit_unknown)})" if record.commit_unknown else ""
    where = f"{code(record.kernel)} on {code(record.platform)} at {code(record.commit)}{why}"
    return f"## {word}: {prose(record.reason)}\n\n{where}, run {code(record.run_id)}"


def _times(record: RunRecord) -> list[str]:
    heads = ["case", "median µs", "MAD µs", "samples", "budget µs", "left", "set by"]
    times = case_times(record)
    rows = [
        [
            code(time.case),
            f"**{microseconds(time.median_us)}**" if time.median_us is not None else "–",
            microseconds(time.mad_us),
            str(time.samples),
            microseconds(time.limit_us),
            "–" if time.left is None else signed_share(time.left),
            time.set_by or "–",
        ]
        for time in times
    ]
    sections = [f"### Wall time ({_clock(record)})", _table(heads, rows)]
    intervals = [
        f"95 % interval of the median of {code(time.case)}: "
        f"{microseconds(time.interval_us[0])} to {microseconds(time.interval_us[1])} µs"
        for time in times
        if time.interval_us
    ]
    intervals += [f"{code(time.case)}: {prose(remark)}" for time in times for remark in time.remarks]
    devices = list(dict.fromkeys(name for time in times for name in time.per_device))
    if devices:
        rows = [
            [code(name), *(microseconds(time.per_device.get(name)) for time in times)]
            for name in devices[:_SHOWN_DEVICES]
        ]
        sections += [*intervals, _table(["device", *(f"{code(time.case)} median µs" for time in times)], rows)]
        sections += _more(len(devices), _SHOWN_DEVICES, "device")
    if record.clock is Clock.SIMULATED:
        sections.append("> Simulated µs come from a cost model. They rank programs; they are not a device's µs.")
    return sections


def _merge_base(record: RunRecord) -> list[str]:
    """The merge base's arm: what was measured of it in turn with the head, and what the gate makes of it."""
    if record.base is None:
        return []
    rows = []
    for of_case in merge_base.base_cases(record):
        found = of_case.comparison
        answer = found.answer if found else of_case.note
        rows.append(
            [
                code(of_case.case),
                microseconds(of_case.base_us),
                microseconds(of_case.head_us),
                f"**{found.ratio:.4f}**" if found else "–",
                merge_base.span(found) if found else "–",
                share(found.allowed) if found else "–",
                str(found.rounds) if found else "–",
                f"{_GATE_MARKS.get(of_case.status, '')} {prose(answer)}".strip(),
            ]
        )
    heads = ["case", "base µs", "head µs", "head / base", "interval", "allowed", "rounds", "the head is"]
    return [f"### Against the merge base {code(record.base.commit)}", _table(heads, rows)]


def _program(record: RunRecord) -> list[str]:
    """Where the program came from, whose rules judged it, and what kept it apart."""
    if record.source is None:
        return []
    lines = [
        f"- program: {code(record.source.place)} of commit {code(record.source.commit)}",
        *_rules(record.source),
        f"- gain: {'⚠️ ' if plausible_gain.implausible(record) else ''}{prose(provenance.gain(record))}",
    ]
    for each in provenance.isolation(record):
        devices = ", ".join(code(device) for device in each.devices[:_SHOWN_DEVICES])
        more = f" and {len(each.devices) - _SHOWN_DEVICES} more" if len(each.devices) > _SHOWN_DEVICES else ""
        told = f"⚠️ none: {prose(each.lacks)}" if each.lacks else prose(each.by)
        lines.append(f"- isolation on {devices}{more}: {told}")
    return ["### Program, rules and isolation", "\n".join(lines)]


def _rules(source: SourceRecord) -> list[str]:
    compared = f"compared with {prose(provenance.against(source))}"
    if not source.rule_changes:
        return [f"- rules: the installed ones; this commit changes none of them, {compared}"]
    shown = [f"  - {code(path)}" for path in source.rule_changes[:_SHOWN_FINDINGS]]
    more = [f"  {line}" for line in _more(len(source.rule_changes), _SHOWN_FINDINGS, "file")]
    return [f"- rules: the installed ones; ⚠️ this commit brings others, {compared}:", *shown, *more]


def _tolerances(record: RunRecord) -> list[str]:
    rows = []
    for case in record.cases:
        for found in worst_outputs(record, case):
            tolerance = found.worst.tolerance
            where = f"{tolerance.worst_index} on {found.device}, repeat {found.repeat}"
            rows.append(
                [
                    code(case),
                    code(found.output),
                    "✅" if found.passed else "❌",
                    outlier_count(found.worst),
                    f"{allowed_outliers(found.worst):,}",
                    scientific(tolerance.max_abs_err),
                    scientific(tolerance.max_rel_err),
                    prose(tolerance.problem) if tolerance.problem else code(where),
                    code(tolerance.reference),
                ]
            )
    heads = ["case", "output", "", "outliers", "allowed", "max abs err", "max rel err", "where", "reference"]
    return ["### Tolerance", _table(heads, rows)] if rows else []


def _determinism(record: RunRecord) -> list[str]:
    lines = []
    for case in record.cases:
        found = agreement(record, case)
        if found.trials < 2:
            lines.append(f"- {code(case)}: nothing to compare ({found.trials} measured)")
            continue
        if found.odd:
            lines.append(f"- {code(case)}: ❌ bits differ over {found.extent}: {prose('; '.join(found.odd))}")
        else:
            lines.append(f"- {code(case)}: digests agree across {found.extent}")
    judged = gate(record, "determinism")
    lines += [f"- the gate says: {judged.status.value}"] if judged else ["- not judged"]
    return ["### Determinism", "\n".join(lines)]


def _findings(record: RunRecord) -> list[str]:
    sections = []
    for judged in open_gates(record):
        groups = grouped(judged.findings)
        lines = [_finding(group) for group in groups[:_SHOWN_FINDINGS]]
        lines += _more(len(groups), _SHOWN_FINDINGS, "finding")
        lines += [f"- {prose(said)}" for said in explanation(record, judged, median_stages(record))[:_SHOWN_FINDINGS]]
        sections += [f"### {prose(judged.name)}: {judged.status.value}", "\n".join(lines) or "- no finding"]
    failed = [build.failure for build in record.builds if build.failure]
    failed += [trial.failure for trial in record.trials if trial.failure]
    failed += record.failures
    if failed:
        shown = dict.fromkeys(f"- {found.fault.value} {code(found.kind)}: {prose(found.message)}" for found in failed)
        lines = [*list(shown)[:_SHOWN_FINDINGS], *_more(len(shown), _SHOWN_FINDINGS, "fault")]
        sections += ["### Faults", "\n".join(lines)]
    return sections


def _finding(group: FindingGroup) -> str:
    names = [code(part) for part in (group.case, *group.devices[:_SHOWN_DEVICES], group.output) if part]
    names += [group.in_repeats] if group.repeats else []
    return f"- {', '.join(names)}{': ' if names else ''}{prose(group.message)}"


def _stages(record: RunRecord) -> list[str]:
    sections = []
    for case in record.cases:
        totals = stage_totals(record, case)
        rows = [
            [code(total.stage), str(total.tasks), microseconds(total.mean_us), microseconds(total.total_us)]
            for total in totals[:_SHOWN_STAGES]
        ]
        if rows:
            table = _table(["stage", "tasks", "mean µs", "total µs over all cores"], rows)
            more = "".join(f"\n\n{line}" for line in _more(len(totals), _SHOWN_STAGES, "stage"))
            heading = f"<details><summary>Slowest stages of the median trial, case {_html(case)}</summary>"
            sections.append(f"{heading}\n\n{table}{more}\n\n</details>")
    return sections


def _footer(record: RunRecord) -> list[str]:
    lines = [f"toolchain: {', '.join(f'{code(name)} {code(value)}' for name, value in record.toolchain.items())}"]
    if record.request.tuning:
        chosen = ", ".join(code(f"{key}={value}") for key, value in record.request.tuning.items())
        lines.append(f"tuning: {chosen}")
    lines.append(f"input set {code(record.request.input_set)}, seed {record.request.seed}")
    if record.finished_at:
        lines.append(time_spent(record))
    if record.resumed_from:
        lines.append(f"goes on with run {code(record.resumed_from)}")
    return ["---", "  \n".join(lines)]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """A table of cells that hold no bar, as `code` and `prose` make them."""
    ruler = ["---:" if "µs" in head else "---" for head in heads]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruler, *rows))


def _more(total: int, shown: int, noun: str) -> list[str]:
    return [f"- and {counted(total - shown, f'more {noun}')}"] if total > shown else []


def _clock(record: RunRecord) -> str:
    return "simulated µs" if record.clock is Clock.SIMULATED else "measured µs"


def _html(text: str) -> str:
    """`text` inside an HTML block, where Markdown has no say: every character that is not plain becomes an entity."""
    return re.sub(r"[^\w .:/-]", lambda match: f"&#{ord(match[0])};", one_line(text))
