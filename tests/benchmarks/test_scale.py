"""The benchmark of the scheduler measures what it says: every trial is made, in each arm, on real Ray actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import arms
from benchmarks.idle import IdleLease, cluster, leased
from farm.store.run_store import Store

DEVICES, TRIALS = 2, 9


@pytest.fixture(scope="module")
def lease() -> Iterator[IdleLease]:
    with cluster(nodes=2, devices=DEVICES), leased(DEVICES, arms.full_record(3), 120.0) as held:
        yield held


@pytest.mark.ray
def test_devices_are_on_both_nodes(lease: IdleLease) -> None:
    assert len({device.node_id for device in lease.devices}) == 2
    assert len({device.pid for device in lease.devices}) == DEVICES


@pytest.mark.ray
def test_both_loops_make_every_trial(lease: IdleLease, tmp_path: Path) -> None:
    for measured in (arms.plain(lease, TRIALS), arms.farm(lease, TRIALS, tmp_path, None)):
        assert measured.trials == len(measured.idle) == TRIALS
        assert min(measured.idle) > 0


@pytest.mark.ray
def test_the_store_has_every_trial_once(lease: IdleLease, tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        arms.farm(lease, TRIALS, tmp_path, store)
        kept = store.latest().trials

    assert Counter(trial.device for trial in kept) == {lease.device(0).id: 5, lease.device(1).id: 4}
    assert len({(trial.device, trial.repeat) for trial in kept}) == TRIALS


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.51, 3.0), (0.99, 4.0)])
def test_a_quantile_is_one_of_the_values(share: float, expected: float) -> None:
    assert arms.quantile([3.0, 1.0, 4.0, 2.0], share) == expected


def test_the_slope_of_a_line_is_its_slope() -> None:
    assert arms.slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
