"""What a person sees when a harness's run is over: the answer, then a line a file, the gravest first."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.model.run import FileStatus, GateStatus, HarnessRecord, RunRecord
from farm.report.console import NamedRows
from farm.report.harness import figures
from farm.text import one_line

_STYLES = {FileStatus.PASSED: "green", FileStatus.FAILED: "bold red", FileStatus.ERRORED: "bold yellow"}


def files(record: RunRecord, harness: HarnessRecord) -> RenderableType:
    """The table, why a file did not pass, and what it all was made of."""
    rows = figures.of(record, harness)
    table = NamedRows()
    for heading, number in (("file", False), ("", False), ("µs", True), ("trials, s", True), ("devices", False)):
        table.add_column(heading, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in rows:
        status = Text(row.file.status.value, _STYLES.get(row.file.status, "dim"))
        devices = Text(one_line(", ".join(row.devices)), "dim")
        table.add_row(Text(one_line(row.file.file)), status, row.time, f"{row.host_s:.1f}", devices)
    told = [
        Text.assemble((f"{one_line(row.file.file)}  ", "dim"), one_line(row.told))
        for row in rows
        if row.file.status is not FileStatus.PASSED or row.remarks
    ]
    notes = [harness.selected]
    notes += [
        f"set-up {name}: {outcome}" + (f" ({log})" if log else "") for name, outcome, log in figures.set_up(harness)
    ]
    notes += [
        f"{gate.name} {gate.status.value}: {gate.findings[0].message}"
        for gate in record.gates
        if gate.status is GateStatus.NOT_APPLICABLE and gate.findings
    ]
    notes.append(f"devices: {', '.join(held.id for held in record.devices) or 'none'}; files: {record.directory}/")
    return Group(table, Text(), *told, Text(), *(Text(one_line(note), "dim") for note in notes))
