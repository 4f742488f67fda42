"""What a person sees when a bisect is over: the commit first, then what was tested and what it took."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from farm.model.bisect import Answer, BisectRecord, CommitOutcome, CommitRecord
from farm.report.bisect.figures import effort, extent, go_on
from farm.report.console import NamedRows
from farm.text import one_line

_STYLES = {
    CommitOutcome.FOUND: "bold green",
    CommitOutcome.NARROWED: "bold yellow",
    CommitOutcome.INTERRUPTED: "bold yellow",
    CommitOutcome.ERRORED: "bold yellow",
}
_ANSWERS = {Answer.GOOD: "green", Answer.BAD: "red", Answer.SKIPPED: "yellow"}
_SHOWN_SUSPECTS = 8


def summary(record: BisectRecord) -> RenderableType:
    """The bisect on one screen. Every name is taken as text, never as markup."""
    request = record.request
    line = Text().append(record.outcome.value, _STYLES[record.outcome]).append(f"  {one_line(record.reason)}")
    where = (
        f"  {request.kernel} {request.case} on {request.platform}, {request.metric.value}, bisect {record.bisect_id}"
    )
    return Group(line, Text(one_line(where), "dim"), Text(), _probes(record), Text(), _facts(record))


def _probes(record: BisectRecord) -> Table:
    subjects = {each.commit: each.subject for each in record.candidates}
    table = NamedRows()
    for heading in ("commit", "round", "answer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("why", "subject"):
        table.add_column(heading, overflow="fold")
    for probe in sorted(record.probes, key=lambda probe: (probe.position, probe.round)):
        table.add_row(
            probe.commit[:12],
            str(probe.round or "ends"),
            Text(probe.answer.value, _ANSWERS[probe.answer]),
            Text(one_line(probe.reason)),
            Text(one_line(subjects[probe.commit])),
        )
    return table


def _facts(record: BisectRecord) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, commit in _suspects(record):
        table.add_row(name, Text(one_line(commit)))
    for note in record.notes:
        table.add_row("note", Text(one_line(note)))
    table.add_row("range", extent(record))
    table.add_row("took", effort(record))
    if record.run_id:
        table.add_row("report", Text(f"farm report {record.run_id}"))
    if command := go_on(record):
        table.add_row("go on", Text(command))
    table.add_row("files", Text(one_line(record.directory) + "/"))
    return table


def _suspects(record: BisectRecord) -> list[tuple[str, str]]:
    if record.outcome not in (CommitOutcome.FOUND, CommitOutcome.NARROWED):
        return []
    by_id = {each.commit: each for each in record.candidates}
    found = [by_id[commit] for commit in record.suspects]
    rows = [("commit", _told(each)) for each in found[:_SHOWN_SUSPECTS]]
    more = len(found) - _SHOWN_SUSPECTS
    return [*rows, ("", f"and {more} more in bisect.json")] if more > 0 else rows


def _told(commit: CommitRecord) -> str:
    merge = ", a merge: search what came in by it" if len(commit.parents) > 1 else ""
    return f"{commit.commit[:12]} {commit.subject} ({commit.author}, {commit.date[:10]}{merge})"
