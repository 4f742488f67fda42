"""Finds the record of a run by whatever a person has of it: an id, the beginning of one, a directory or a file."""

from __future__ import annotations

from pathlib import Path

from farm import paths
from farm.errors import UsageError
from farm.record import RunRecord
from farm.report import json_report
from farm.store import Store


def load(run: str) -> RunRecord:
    """The record `run` names: a report.json, a directory with one, else a run of the store.

    Raises `UsageError`, `UnknownRunError` or `AmbiguousRunError`, and `ReportError` for a file that is no report.
    """
    path = Path(run)
    if path.is_dir() and (path / "report.json").is_file():
        return json_report.read(path / "report.json")
    if path.is_file():
        return json_report.read(path)
    if path.is_dir() or path.suffix == ".json":
        raise UsageError(f"there is no report.json at {path}")
    with Store.open(paths.store_url()) as store:
        return store.latest() if run == "latest" else store.get(run)
