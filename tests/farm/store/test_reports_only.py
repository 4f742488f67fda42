"""A run that no store is to know of still finds everything that it asks of a `RunWriter`."""

from __future__ import annotations

import inspect
from pathlib import Path

from farm.store.reports_only import ReportsOnly
from farm.store.run_writer import RunWriter
from tests.farm import samples

OF_A_LEASE = {"health", "identify"}  # which a local device has not
OF_A_THREAD = {"close"}


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_it_has_whatever_a_run_may_ask_of_a_writer() -> None:
    assert public(ReportsOnly) == public(RunWriter) - OF_A_LEASE - OF_A_THREAD


def test_it_knows_nothing_of_earlier_runs_and_keeps_nothing_but_the_reports(tmp_path: Path) -> None:
    written: list[str] = []
    writer, record = ReportsOnly(), samples.run()

    writer.begin(record)
    writer.update(record)
    writer.save_trials(record.run_id, record.trials)
    writer.observe([])
    assert (writer.program_times("small"), writer.landed_times("small"), writer.device_history("fake")) == ({}, [], [])
    assert written == []
    writer.conclude(record, [], lambda: written.append("reports"), tmp_path, 0.0)

    assert written == ["reports"]
    assert list(tmp_path.iterdir()) == []
