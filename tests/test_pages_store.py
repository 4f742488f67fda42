"""The store that pages are measured and tried over holds what a farm would have written."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from benchmarks.pages_store import seed
from ci.store.engine import open_database
from farm.store import row_mapping
from farm.store.run_store import Store
from farm.store.tables import TRIAL


def test_a_seeded_store_reads_back_as_the_rows_the_store_writes(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)
    ids = seed(engine, 90, tmp_path / "runs", newest=4)
    store = Store(engine)

    for run_id in (ids[0], ids[1], ids[-3], ids[-1]):
        with engine.connect() as connection:
            found = connection.execute(select(TRIAL).where(TRIAL.c.run_id == run_id).order_by(TRIAL.c.id)).all()
        for trial, row in zip(store.get(run_id).trials, found, strict=True):
            assert {**row._mapping, "id": 0} == {**row_mapping.of_trial(run_id, trial), "id": 0}
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(TRIAL)).scalar_one() == 8 * 9 + 2 * 4
    assert [len(store.get(run_id).trials[0].tasks) for run_id in (ids[0], ids[-3])] == [8, 400]
    assert [run.verdict for run in store.list(3)][:2] == [None, None]
    engine.dispose()
