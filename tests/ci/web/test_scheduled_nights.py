"""Sweeps that a schedule asked for are among the nights, beside those that somebody started."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.config import directories
from ci.store.states import Scope
from farm.model.sweep import SweepPlan, SweepRecord
from farm.report.sweep.write import write_sweep
from farm.sweep.journal import Journal
from tests.ci.web.site import Site
from tests.farm.sweep_samples import clean, one_bad

pytestmark = pytest.mark.service


def keep(record: SweepRecord, directory: Path) -> None:
    """The files that `farm sweep` leaves."""
    told = {name: getattr(record, name) for name in SweepPlan.model_fields if hasattr(record, name)}
    Journal(directory).begin(SweepPlan(**{**told, "devices": record.planned, "noisy": False}))
    write_sweep(record, directory)


def test_both_are_listed_and_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    site = Site(tmp_path)
    by_hand, by_schedule = one_bad(), clean(sweep_id="20261125-023000-abcdef")
    keep(by_hand, site.config.web.sweeps / by_hand.sweep_id)
    keep(by_schedule, directories.sweep("0123456789abcdef0123456789abcdef") / by_schedule.sweep_id)

    with site.visitor(Scope.READ) as visitor:
        listed = visitor.get("/nights").text
        pages = [visitor.get(f"/nights/{each.sweep_id}") for each in (by_hand, by_schedule)]
        missing = visitor.get("/nights/20261125-023000-000000")

    assert by_hand.sweep_id in listed and by_schedule.sweep_id in listed
    assert [page.status_code for page in pages] == [200, 200]
    assert missing.status_code == 404
