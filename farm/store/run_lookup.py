"""Finds the record of a run by whatever a person has of it: an id, the beginning of one, a directory or a file."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from farm import paths
from farm.errors import UnknownRunError, UsageError
from farm.model import serialization
from farm.model.run import RunRecord, Verdict
from farm.store import run_queries
from farm.store.run_store import Store
from farm.text import one_line

_COMMIT = 7  # characters a commit is at least named by


def load(run: str) -> RunRecord:
    """The record `run` names: a report.json, a directory with one, else a run of the store.

    Raises `UsageError`, `UnknownRunError` or `AmbiguousRunError`, and `ReportError` for a file that is not a report.
    """
    path = Path(run)
    if path.is_dir() and (path / "report.json").is_file():
        return serialization.read(path / "report.json")
    if path.is_file():
        return serialization.read(path)
    if path.is_dir() or path.suffix == ".json":
        raise UsageError(f"there is no report.json at {path}")
    with Store.open(paths.store_url()) as store:
        return store.latest() if run == "latest" else store.get(run)


def find(engine: Engine, named: str) -> RunRecord:
    """The run of the store `named` is or begins, else the newest that passed of the commit it begins.

    Raises `UnknownRunError`, `AmbiguousRunError`, and `UsageError` for a commit without such a run, or several commits.
    """
    try:
        return Store(engine).get(named)
    except UnknownRunError:
        if len(named) < _COMMIT or not all(char in "0123456789abcdef" for char in named.lower()):
            raise
    passed = run_queries.newest_passed(engine, named.lower())
    if len(passed) > 1:
        raise UsageError(f"'{named}' begins {len(passed)} commits; type more of it")
    if not passed:
        raise UsageError(f"there is no run '{one_line(named)}', and no run of such a commit that passed")
    return Store(engine).get(*passed.values())


def history(record: RunRecord, limit: int = 24) -> dict[str, list[float]]:
    """Each case of the run → its medians in the last runs on that platform, oldest first, in µs of the run's clock.

    Runs that errored are left out: what they measured may be half of it.
    """
    with Store.open(paths.store_url()) as store:
        points = {case: store.history(record.kernel, case, record.platform, limit) for case in record.cases}
    return {
        case: [
            point.median.overall
            for point in of_case
            if point.median.overall is not None
            and point.median.clock is record.clock
            and point.verdict is not Verdict.ERRORED
        ]
        for case, of_case in points.items()
    }
