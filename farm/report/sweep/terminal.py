"""What a person sees when a sweep is over: the answer first, then the matrix, folded where it would not fit."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.analysis.sweep_findings import sentence
from farm.model.sweep import Kind, SweepRecord
from farm.report.console import NamedRows
from farm.report.run.terminal import verdict_text
from farm.report.sweep.figures import MEANING, Mark, Square, by_output, conspicuous
from farm.text import counted, microseconds, one_line
from kernel.clock import Clock

_SHOWN_FINDINGS = 8
_SHOWN_DEVICES = 16  # rows; those with something to see first
_SHOWN_DIGESTS = 5  # columns with room for a digest each; more show their marks alone


def summary(record: SweepRecord) -> RenderableType:
    """The sweep on one screen. Every name is taken as text, never as markup."""
    line = Text().append(verdict_text(record.verdict)).append(f"  {one_line(record.reason)}")
    request = record.request
    where = f"  {request.kernel} on {request.platform} at {record.commit[:12]}, sweep {record.sweep_id}"
    parts: list[RenderableType] = [line, Text(one_line(where), "dim"), Text(), _matrix(record), Text(), _facts(record)]
    if record.clock is Clock.SIMULATED:
        parts.append(Text("simulated µs are a cost model's, not a device's", style="dim"))
    return Group(*parts)


def _matrix(record: SweepRecord) -> RenderableType:
    heads, rows = by_output(record)
    first = sorted(rows, key=lambda device: not conspicuous(rows[device]))[:_SHOWN_DEVICES]
    odd = {
        (device, place.case)
        for finding in record.findings
        if finding.kind is Kind.ODD_TIME
        for device in finding.devices
        for place in finding.places
    }
    table = NamedRows()
    table.add_column("device", no_wrap=True)
    for case, output in heads:
        table.add_column(_head(record, case, output), overflow="fold")
    for case in record.request.cases:
        table.add_column(_head(record, case, "median µs"), justify="right")
    for device in first:
        squares = [_square(square, digests=len(heads) <= _SHOWN_DIGESTS) for square in rows[device]]
        times = [
            Text(f"{'odd ' if (device, case) in odd else ''}{microseconds(record.median_us.get(case, {}).get(device))}")
            for case in record.request.cases
        ]
        table.add_row(Text(one_line(device)), *squares, *times)
    seen = {square.mark for row in rows.values() for square in row}
    legend = ", ".join(f"{mark.value} {MEANING[mark]}" for mark in Mark if mark in seen)
    more = f"and {counted(len(rows) - len(first), 'more device')}; " if len(rows) > len(first) else ""
    return Group(table, Text(more + legend, "dim"))


def _head(record: SweepRecord, case: str, what: str) -> Text:
    return Text(f"{one_line(case)}\n{one_line(what)}" if len(record.request.cases) > 1 else one_line(what))


def _square(square: Square, *, digests: bool) -> Text:
    shown = f"{square.mark.value} {square.digest}" if digests and square.digest else square.mark.value
    return Text(shown, "" if square.mark is Mark.AGREES else "bold red")


def _facts(record: SweepRecord) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in record.findings[:_SHOWN_FINDINGS]:
        table.add_row("finding", Text(one_line(sentence(finding))))
    if len(record.findings) > _SHOWN_FINDINGS:
        table.add_row(
            "", Text(f"and {counted(len(record.findings) - _SHOWN_FINDINGS, 'more finding')} in sweep.md", "dim")
        )
    if record.quarantined:
        table.add_row("quarantined", Text(one_line(", ".join(record.quarantined))))
    if record.not_reached:
        trials = counted(sum(each.missing for each in record.not_reached), "trial")
        devices = counted(len(record.not_reached), "device")
        first = record.not_reached[0]
        told = f"{trials} on {devices} ({first.device}: {first.why})"
        table.add_row("not reached", Text(one_line(told)))
    table.add_row("files", Text(one_line(record.directory) + "/"))
    return table
