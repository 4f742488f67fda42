"""A run on one device that nobody leased is marked as such in every report, and no other run is."""

from __future__ import annotations

import pytest
from rich.console import Console

from farm.model.run import RunRecord
from farm.report.formats import FORMATS
from farm.report.run.terminal import summary
from tests.farm import samples

MARKS = {
    "json": '"local":true',
    "junit": '<property name="local" value="true"',
    "md": "Local run: one device that nobody leased",
    "html": "Local run: one device that nobody leased",
}


def local() -> RunRecord:
    found = samples.run()
    return found.model_copy(update={"request": found.request.model_copy(update={"local": True, "devices": 1})})


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_report_says_that_a_run_is_local(name: str) -> None:
    marked, plain = (FORMATS[name].write(record) for record in (local(), samples.run()))

    assert MARKS[name].encode() in (marked if isinstance(marked, bytes) else marked.encode())
    assert MARKS[name].encode() not in (plain if isinstance(plain, bytes) else plain.encode())


@pytest.mark.parametrize(("record", "marked"), [(local(), True), (samples.run(), False)])
def test_the_terminal_says_that_a_run_is_local(record: RunRecord, marked: bool) -> None:
    console = Console(width=200)

    with console.capture() as captured:
        console.print(summary(record))

    first = captured.get().splitlines()[0]
    assert ("(local)" in first) is marked
    assert ("one device that nobody leased" in captured.get()) is marked
