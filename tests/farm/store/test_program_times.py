"""What earlier runs measured of a compiled program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.model.run import RunRecord, Verdict
from farm.store.program_times import program_times
from farm.store.run_store import Store
from kernel.clock import Clock
from tests.farm import samples

PROGRAM = "f" * 64
DEVICE = samples.device(0).id


def record(number: int, us: float, **changes: Any) -> RunRecord:
    trials = [samples.trial(DEVICE, repeat, wall_us=us) for repeat in range(2)]
    return samples.run(
        **{
            "run_id": f"2026-{number}",
            "started_at": f"2026-01-01T00:00:0{number}.000+00:00",
            "verdict": Verdict.PASSED,
            "trials": trials,
            **changes,
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}")


def recalled(store: Store, of: RunRecord, program: str = PROGRAM) -> list[tuple[str, float, str]]:
    asked = (of.kernel, of.platform, of.clock, of.toolchain)
    found = program_times(store.engine, *asked, {(samples.CASE, program)})
    return [(each.program, each.us, each.where) for each in found.get(samples.CASE, [])]


def keep(store: Store, record: RunRecord) -> None:
    store.begin(record.model_copy(update={"verdict": None, "trials": []}))
    if record.verdict is not None:
        store.finish(record)


def test_the_newest_run_that_passed_is_recalled(store: Store) -> None:
    keep(store, record(1, 80.0))
    keep(store, record(2, 76.0))

    assert recalled(store, record(3, 1.0)) == [(PROGRAM, 76.0, "run 2026-2")]
    assert recalled(store, record(3, 1.0), "e" * 64) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": Verdict.ERRORED},
        {"verdict": Verdict.FAILED},
        {"verdict": None},
        {"toolchain": {"pypto": "0.1.9"}},
        {"platform": "other"},
        {"kernel": "other"},
    ],
)
def test_what_was_not_believed_or_measured_otherwise_is_no_history(store: Store, changes: dict[str, Any]) -> None:
    keep(store, record(1, 80.0))
    keep(store, record(2, 40.0, **changes))

    assert recalled(store, record(3, 1.0)) == [(PROGRAM, 80.0, "run 2026-1")]


def test_times_of_another_clock_are_no_history(store: Store) -> None:
    keep(store, record(1, 80.0))

    assert recalled(store, record(2, 1.0).model_copy(update={"clock": Clock.MEASURED})) == []
