"""What a run is shown against when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm import paths
from farm.model.run import Verdict
from farm.store.run_lookup import history
from farm.store.run_store import Store
from kernel.clock import Clock
from tests.farm import samples


def test_the_history_is_of_the_runs_case_platform_and_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    records = [
        samples.run(run_id="a", started_at="2026-11-23T10:00:00.000+00:00"),
        samples.over_budget().model_copy(update={"run_id": "b", "started_at": "2026-11-23T11:00:00.000+00:00"}),
        samples.run(run_id="c", started_at="2026-11-23T12:00:00.000+00:00", verdict=Verdict.ERRORED),
        samples.run(run_id="d", started_at="2026-11-23T13:00:00.000+00:00", platform="other"),
        samples.run(run_id="e", started_at="2026-11-23T14:00:00.000+00:00"),
    ]
    with Store.open(paths.store_url()) as store:
        for record in records:
            store.begin(samples.running(record.run_id, started_at=record.started_at, platform=record.platform))
            store.finish(record)

    assert history(records[-1]) == {samples.CASE: [76.64, 95.5, 76.64]}
    assert history(records[-1].model_copy(update={"clock": Clock.MEASURED})) == {samples.CASE: []}
