"""Campaigns on a real Ray: every point is measured or named, whatever befalls the workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrials
from farm.execution.plan import make
from farm.execution.resolved_run import resolve
from farm.execution.session import SessionOptions, leased
from farm.leasing.device_lease import PlatformFactory
from farm.model.run import RunRequest
from farm.model.timeouts import Timeouts
from farm.tuning.campaign import CampaignExecutor, Point, disqualification
from jobs.records import TrialRecord, TrialStatus
from tests.fakes import platforms

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined_ray", "at_home")]

ROWS = ("1", "2", "4", "8")


class Fixed:
    """Four points, one after the other."""

    def __init__(self) -> None:
        self.waiting = [Point(f"rows {rows}", {"kv_rows": rows}) for rows in ROWS]
        self.records: dict[str, TrialRecord] = {}

    def next(self) -> Point | None:
        return self.waiting.pop(0) if self.waiting else None

    def took(self, point: Point, record: TrialRecord) -> None:
        assert point.label not in self.records
        self.records[point.label] = record


def measure(platform: PlatformFactory, out: Path) -> Fixed:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=1,
        input_set="documented",
        seed=0,
    )
    campaign = Fixed()
    resolved = resolve(request, factory=platform)
    with leased(resolved, SessionOptions(out=out)) as held:
        template = make(request, warm_up=False).requests["tiny"]
        limits = Timeouts(trial_s=60)
        in_flight = InFlightTrials(held.lease, out, resolved.platform.clock, limits.trial_s)
        CampaignExecutor(campaign, held.lease, in_flight, template, RunDeadlines(limits, held.lease)).run()
    return campaign


def test_every_point_is_measured_once_on_whichever_device_is_free(tmp_path: Path) -> None:
    records = measure(platforms.Honest, tmp_path).records

    assert sorted(records) == [f"rows {rows}" for rows in ROWS]
    assert {disqualification(record) for record in records.values()} == {""}
    assert len({record.device for record in records.values()}) == 2


def test_wrong_numbers_disqualify_a_point(tmp_path: Path) -> None:
    records = measure(platforms.WrongEverywhere, tmp_path).records

    assert len(records) == 4
    assert all("wrong numbers: q" in disqualification(record) for record in records.values())


def test_a_dying_device_costs_no_point(tmp_path: Path) -> None:
    records = measure(platforms.DiesOnOneDevice, tmp_path).records

    assert [record.status for record in records.values()] == [TrialStatus.OK] * 4
    assert sorted(record.attempt for record in records.values())[-1] == 1
