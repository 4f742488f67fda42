"""`sweep.md`: a sweep for a person. The answer first, then the findings, the matrix, the times, what was not reached.

Names and messages come from outside and are escaped as in `farm.report.run.markdown`.
"""

from __future__ import annotations

from farm.analysis.sweep_findings import sentence
from farm.model.run import Verdict
from farm.model.sweep import Kind, SweepRecord
from farm.report.run.markdown import code, prose
from farm.report.sweep.figures import MEANING, Mark, Square, by_output, conspicuous, swept
from farm.text import counted, microseconds
from kernel.clock import Clock

_MARKS = {Verdict.PASSED: "✅ passed", Verdict.FAILED: "❌ failed", Verdict.ERRORED: "⚠️ errored"}
_SHOWN_FINDINGS = 50
_SHOWN_DEVICES = 64  # rows of one table; those with something to see first


def page(record: SweepRecord, picture: str | None) -> str:
    """The whole page; `picture` is the path of the matrix's picture, relative to it, None where there is none."""
    sections = [*_head(record), *_findings(record), *_matrix(record, picture), *_times(record), *_not_reached(record)]
    return "\n\n".join([*sections, *_footer(record)]) + "\n"


def _head(record: SweepRecord) -> list[str]:
    request = record.request
    word = _MARKS[record.verdict] if record.verdict else "⏳ running"
    where = (
        f"{code(request.kernel)} on {code(request.platform)} at {code(record.commit)}, sweep {code(record.sweep_id)}"
    )
    cases = ", ".join(code(case) for case in request.cases)
    effort = f"{counted(request.repeats, 'repeat')}; {counted(len(record.cells), 'trial')}"
    what = f"{cases}; seeds {', '.join(map(str, request.seeds))}; {effort}"
    return [f"## {word}: {prose(record.reason)}", f"{where}  \n{what}"]


def _findings(record: SweepRecord) -> list[str]:
    if not record.findings:
        return []
    lines = [f"- {prose(sentence(finding))}" for finding in record.findings[:_SHOWN_FINDINGS]]
    if len(record.findings) > _SHOWN_FINDINGS:
        lines.append(f"- and {len(record.findings) - _SHOWN_FINDINGS} more in sweep.json")
    if record.quarantined:
        lines.append(f"- quarantined: {', '.join(code(device) for device in record.quarantined)}")
    return ["### Findings", "\n".join(lines)]


def _matrix(record: SweepRecord, picture: str | None) -> list[str]:
    heads, rows = by_output(record)
    first = sorted(rows, key=lambda device: not conspicuous(rows[device]))[:_SHOWN_DEVICES]
    several = len(record.request.cases) > 1
    table = _table(
        ["device", *(code(f"{case} {output}" if several else output) for case, output in heads)],
        [[code(device), *(_cell(square) for square in rows[device])] for device in first],
    )
    seen = {square.mark for row in rows.values() for square in row}
    legend = "; ".join(f"**{mark.value}** {MEANING[mark]}" for mark in Mark if mark in seen)
    more = [f"and {counted(len(rows) - len(first), 'more device')}, see the picture"] if len(rows) > len(first) else []
    shown = [f"![the matrix]({picture})"] if picture else []
    return ["### Bits", table, *more, f"{legend}. Of several seeds the gravest is shown.", *shown]


def _cell(square: Square) -> str:
    if square.mark is Mark.AGREES:
        return code(square.digest)
    return f"**{square.mark.value}** {code(square.digest)}" if square.digest else f"**{square.mark.value}**"


def _times(record: SweepRecord) -> list[str]:
    cases = [case for case in record.request.cases if record.median_us.get(case)]
    if not cases:
        return []
    odd = {
        (device, place.case)
        for finding in record.findings
        if finding.kind is Kind.ODD_TIME
        for device in finding.devices
        for place in finding.places
    }
    devices = [device for device in swept(record) if any(device in record.median_us[case] for case in cases)]
    first = sorted(devices, key=lambda device: not any((device, case) in odd for case in cases))[:_SHOWN_DEVICES]
    rows = []
    for device in first:
        medians = [(case, record.median_us[case].get(device)) for case in cases]
        rows.append(
            [
                code(device),
                *(f"{'**odd** ' if (device, case) in odd else ''}{microseconds(us)}" for case, us in medians),
            ]
        )
    clock = "simulated" if record.clock is Clock.SIMULATED else "measured"
    return [f"### Median of each device, {clock} µs", _table(["device", *(f"{code(case)} µs" for case in cases)], rows)]


def _not_reached(record: SweepRecord) -> list[str]:
    if not record.not_reached:
        return []
    lines = [
        f"- {code(each.device)}: {each.missing} of {each.planned} trials: {prose(each.why)}"
        for each in record.not_reached[:_SHOWN_DEVICES]
    ]
    if len(record.not_reached) > _SHOWN_DEVICES:
        lines.append(f"- and {counted(len(record.not_reached) - _SHOWN_DEVICES, 'more device')}")
    return ["### Not reached", "\n".join(lines)]


def _footer(record: SweepRecord) -> list[str]:
    tools = ", ".join(f"{code(name)} {code(version)}" for name, version in record.toolchain.items())
    out = f"left out, quarantined before: {', '.join(code(device) for device in record.left_out)}  \n"
    return ["---", f"{out if record.left_out else ''}toolchain: {tools}"]


def _table(heads: list[str], rows: list[list[str]]) -> str:
    ruler = ["---:" if "µs" in head else "---" for head in heads]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ruler, *rows))
