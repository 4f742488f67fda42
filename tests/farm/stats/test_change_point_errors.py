"""How often a change is seen in a history without one, and a change of five percent found: simulated."""

from __future__ import annotations

import pytest

from farm.stats.change_points import change_points
from kernel.clock import Clock
from tests.farm.stats.test_change_points import NOISES, found, history


@pytest.mark.parametrize("noise", NOISES)
def test_a_flat_history_of_200_runs_has_hardly_any_change(noise: str) -> None:
    tries = 25
    false = sum(len(found(history(NOISES[noise], (540.0, 200), seed=seed))) for seed in range(tries))

    assert false <= 0.1 * tries  # 1 % is what the test promises


@pytest.mark.parametrize("noise", NOISES)
def test_a_step_of_five_percent_is_found_where_it_is(noise: str) -> None:
    for seed in range(3):
        (change,) = change_points(history(NOISES[noise], (540.0, 60), (567.0, 60), seed=seed), Clock.MEASURED)

        assert abs(change.index - 60) <= 3
        assert change.change == pytest.approx(0.05, abs=0.015)
