"""The fault table agrees with itself and with the copy operators read."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from jobs.faults.model import Action, FaultRow, Source
from jobs.faults.table import TABLE
from jobs.records import Fault

DOCUMENT = Path(__file__).parents[3] / "docs" / "operator" / "faults.md"
HEAD = "| signal | kind | whose | then | why |\n|---|---|---|---|---|\n"


def documented() -> str:
    """The table as Markdown: rows that differ only in their signal share a line."""
    groups: dict[tuple[object, ...], list[FaultRow]] = defaultdict(list)
    for row in TABLE:
        groups[row.fault, row.action, row.reason].append(row)
    lines = []
    for rows in groups.values():
        signals = "<br>".join(signal(row) for row in rows)
        kinds = ", ".join(dict.fromkeys(kind(row) for row in rows))
        lines.append(f"| {signals} | {kinds} | {rows[0].fault.value} | {rows[0].action.value} | {rows[0].reason} |\n")
    return HEAD + "".join(lines)


def kind(row: FaultRow) -> str:
    if row.kind.startswith("device-") and row.source is Source.RUNTIME:
        return "`device-CODE`"
    return "the same" if row.source in (Source.LATCHED, Source.FARM) else f"`{row.kind}`"


def signal(row: FaultRow) -> str:
    if row.source is Source.LOG:
        return f"log: {row.name}"
    head = {Source.EXIT: "exit code ", Source.WORKER: "Ray: "}.get(row.source, "")
    return f"{head}`{row.signal}` {row.name}".strip()


def test_the_operators_table_is_the_codes() -> None:
    assert documented() in DOCUMENT.read_text(), f"docs/operator/faults.md must have\n\n{documented()}"


def test_no_signal_stands_twice() -> None:
    signs = [(row.source, row.signal) for row in TABLE]

    assert len(signs) == len(set(signs))


def test_rows_of_one_kind_agree_on_whose_fault_it_is_and_what_follows() -> None:
    rules = defaultdict(set)
    for row in TABLE:
        rules[row.kind].add((row.fault, row.action))

    assert {kind: found for kind, found in rules.items() if len(found) > 1} == {}


def test_one_occurrence_condemns_exactly_what_is_the_kernels() -> None:
    assert all((row.fault is Fault.KERNEL) == (row.action is Action.FAIL) for row in TABLE)


def test_only_a_device_is_quarantined() -> None:
    assert {row.fault for row in TABLE if row.action is Action.QUARANTINE} == {Fault.DEVICE}


def test_what_a_second_card_decides_is_a_devices_until_then_a_set_up_or_an_ending_nobody_knows() -> None:
    asked = [row for row in TABLE if row.action in (Action.ASK_ANOTHER_CARD, Action.RETRY_ONCE)]

    assert {row.kind for row in asked if row.fault is not Fault.DEVICE} == {"unexplained-…", "setup", "setup-hang"}


def test_every_row_has_its_reason() -> None:
    assert all(row.reason.endswith(".") and len(row.reason) < 130 for row in TABLE)
    assert all(row.kind and " " not in row.kind for row in TABLE)


def test_every_row_of_what_breaks_names_what_happens_how_it_was_tried_and_its_test() -> None:
    section = DOCUMENT.read_text().partition("\n## What breaks, and what happens\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| what breaks")]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]

    assert len(rows) > 40
    assert [row for row, found in zip(rows, cells, strict=True) if len(found) != 4 or not all(found)] == []
    assert [found[3] for found in cells if not re.fullmatch(r"`[\w/]+\.py::test_\w+`", found[3])] == []
