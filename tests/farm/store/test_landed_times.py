"""What the commits of a line took in runs that passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.model.run import RunRecord, Verdict
from farm.store.landed_times import landed_times
from farm.store.run_store import Store
from tests.farm import samples

COMMITS = [letter * 40 for letter in "abc"]


def record(number: int, commit: str, us: float, **changes: Any) -> RunRecord:
    values = {"run_id": f"2026-{number}", "started_at": f"2026-01-01T00:00:0{number}.000+00:00", "commit": commit}
    made = samples.run(**{**values, "verdict": Verdict.PASSED, **changes})
    median = made.median_us[samples.CASE].model_copy(update={"overall": us})
    return made.model_copy(update={"median_us": {samples.CASE: median}, "trials": []})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")


def keep(store: Store, *records: RunRecord) -> None:
    for each in records:
        store.begin(each.model_copy(update={"verdict": None}))
        store.finish(each)


def recalled(store: Store) -> list[tuple[str, float]]:
    of = samples.run()
    found = landed_times(store.engine, of.kernel, of.platform, of.clock, of.toolchain, COMMITS)
    return [(commit[0], medians[samples.CASE]) for commit, medians in found]


def test_they_come_in_the_order_of_the_line_and_the_newest_run_of_each_counts(store: Store) -> None:
    keep(store, record(1, COMMITS[2], 80.0), record(2, COMMITS[0], 99.0), record(3, COMMITS[0], 100.0))
    keep(store, record(4, "d" * 40, 1.0))

    assert recalled(store) == [("a", 100.0), ("c", 80.0)]


@pytest.mark.parametrize(
    "changes", [{"verdict": Verdict.FAILED}, {"verdict": Verdict.ERRORED}, {"toolchain": {}}, {"kernel": "other"}]
)
def test_what_did_not_pass_or_was_measured_otherwise_did_not_land(store: Store, changes: dict[str, Any]) -> None:
    keep(store, record(1, COMMITS[0], 100.0), record(2, COMMITS[1], 1.0, **changes))

    assert recalled(store) == [("a", 100.0)]
