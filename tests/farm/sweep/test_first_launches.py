"""A first launch counts in a sweep: its bits are compared, its time is not, and none replaces another."""

from __future__ import annotations

import math
from pathlib import Path

from farm.model.sweep import Kind, SweepPlan
from farm.sweep.journal import Journal
from farm.sweep.state import State
from farm.sweep.timing_outliers import medians
from tests.farm.sweep_samples import CASE, cell, clean, fleet, judged, votes


def test_a_first_launch_with_other_bits_on_every_card_is_a_race() -> None:
    devices = fleet(4)
    cells = votes(devices, ["aa"] * 4) + [cell(each.id, -1, "b", wall_us=None) for each in devices]

    assert {finding.kind for finding in judged(devices, cells)} == {Kind.KERNEL_RACES}


def test_the_time_of_a_first_launch_moves_no_median() -> None:
    cells = [cell("node0/0", -1, wall_us=9_000.0), cell("node0/0", 0), cell("node0/0", 1)]

    assert medians(cells) == {CASE: {"node0/0": 40.0}}


def test_every_first_launch_of_a_device_is_kept(tmp_path: Path) -> None:
    record, journal = clean(2), Journal(tmp_path)
    plan_fields = {name: getattr(record, name) for name in ("sweep_id", "request", "clock", "commit", "toolchain")}
    plan = SweepPlan(
        **plan_fields,
        noisy=True,
        addresses=record.addresses,
        outputs=record.outputs,
        devices=record.planned,
        quarantined=[],
        started_at=record.started_at,
    )
    journal.begin(plan)
    state = State(plan, journal, math.inf)
    for digest in "ab":
        state.take([state.warm_up(cell("node0/0", -1, digest))])

    assert [(each.repeat, each.wall_us, *each.sha256.values()) for each in state.cells] == [
        (-2, None, "b" * 64),
        (-1, None, "a" * 64),
    ]
