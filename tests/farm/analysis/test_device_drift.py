from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.analysis.device_drift import drifts

TIMES = st.dictionaries(st.sampled_from("abcd"), st.floats(1.0, 1e4), min_size=2)


def test_a_slow_device_drifts_and_its_peers_do_not() -> None:
    found = drifts([{"a": 100.0, "b": 100.0, "c": 110.0, "d": 100.0}, {"a": 50.0, "b": 50.0, "c": 55.0, "d": 50.0}] * 3)

    assert found["c"].share == pytest.approx(0.1) and found["c"].odd and found["c"].runs == 6
    assert found["a"].share == 0.0 and not found["a"].odd


def test_a_few_runs_make_no_device_odd() -> None:
    assert not drifts([{"a": 100.0, "b": 100.0, "c": 110.0}] * 5)["c"].odd


def test_one_odd_run_moves_nothing() -> None:
    even = {"a": 100.0, "b": 100.0}

    assert drifts([even, even, {"a": 300.0, "b": 100.0}])["a"].share == 0.0
    assert not drifts([even])["a"].odd


def test_a_device_alone_has_no_peers_to_drift_from() -> None:
    assert drifts([{"a": 100.0}]) == {}


@given(st.lists(TIMES, min_size=1, max_size=5), st.floats(0.5, 2.0))
def test_what_moves_all_devices_moves_no_drift(runs: list[dict[str, float]], factor: float) -> None:
    moved = [{device: us * factor for device, us in run.items()} for run in runs]
    before, after = drifts(runs), drifts(moved)

    assert before.keys() == after.keys()
    assert all(after[device].share == pytest.approx(before[device].share, rel=1e-6, abs=1e-9) for device in before)
