"""Brings a finished run into the store from its own directory, where the store was away when the run ended."""

from __future__ import annotations

import json
from pathlib import Path

from farm.errors import UsageError
from farm.model import serialization
from farm.model.device_health import EventKind, HealthEvent
from farm.store.run_store import Store
from farm.store.run_writer import UNSTORED


def bring_in(store: Store, directory: Path) -> tuple[str, bool]:
    """Add the run whose files are in `directory`.

    Returns:
        The run's id, and whether it was added; it is not where it is in the store already.

    Raises:
        UsageError: There is no report.json, the run has not ended or is local, or the store has another verdict of it.
        ReportError: The report cannot be read.
    """
    report = directory / "report.json"
    if not report.is_file():
        raise UsageError(f"there is no report.json in {directory}; name the directory of a run that has ended")
    record = serialization.read(report)
    if record.verdict is None:
        raise UsageError(f"run {record.run_id} has no verdict in {report}; only a run that has ended can be imported")
    if record.request.local:
        raise UsageError(
            f"run {record.run_id} is local, on a device that nobody leased; the store keeps leased runs only"
        )
    events = _events(directory / UNSTORED)
    added = store.take_in(record)
    if events:
        store.observe(events)
    (directory / UNSTORED).unlink(missing_ok=True)  # last: what was interrupted here can be tried again
    return record.run_id, added


def _events(path: Path) -> list[HealthEvent]:
    """What happened on devices and is not in the store. Raises `UsageError` for a file nobody can read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["events"]
        return [HealthEvent(**{**event, "kind": EventKind(event["kind"])}) for event in told]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); remove it to import the run without its devices") from error
