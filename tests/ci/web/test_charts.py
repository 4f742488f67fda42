"""What the charts of the pages are told to draw."""

from __future__ import annotations

import pytest

from ci.web import charts
from farm.analysis.trends import Trend
from farm.model.run import BudgetRecord, MedianRecord, Verdict
from farm.store.row_mapping import HistoryPoint
from kernel.clock import Clock


def trend(
    *medians: float, ceiling_us: float | None = None, ratchet_us: float | None = None, commits: tuple[str, ...] = ()
) -> Trend:
    points = tuple(
        HistoryPoint(
            run_id=f"run-{number}",
            started_at=f"2026-01-01T00:0{number}:00.000+00:00",
            commit=commits[number] if commits else "<b>" * 5,
            verdict=Verdict.PASSED,
            median=MedianRecord(clock=Clock.SIMULATED, per_device={}, overall=us, mad_us=0.0, samples=[us]),
        )
        for number, us in enumerate(medians)
    )
    budget = BudgetRecord(clock=Clock.SIMULATED, ceiling_us=ceiling_us, ratchet_us=ratchet_us, source="budgets.toml")
    return Trend("kernel", "tiny", "a2a3sim", Clock.SIMULATED, points, (), budget, left_out=0)


@pytest.mark.parametrize(
    ("ceiling_us", "ratchet_us", "drawn", "named"),
    [
        (545.0, 31.57, ["best landed: 31.57 µs"], ["budget: 545.00 µs"]),  # it would press the points into one line
        (45.0, None, ["budget: 45.00 µs"], []),
        (None, 1.0, [], ["best landed: 1.00 µs"]),
    ],
)
def test_a_limit_that_is_far_from_every_point_is_named_and_not_drawn(
    ceiling_us: float | None, ratchet_us: float | None, drawn: list[str], named: list[str]
) -> None:
    chart = charts.medians(trend(40.47, 31.56, ceiling_us=ceiling_us, ratchet_us=ratchet_us), commits=True)

    assert [line["name"] for line in chart["lines"]] == drawn
    assert chart["off"] == named


def test_what_a_commit_is_called_cannot_become_markup_in_a_chart() -> None:
    chart = charts.medians(trend(40.47), commits=True)

    assert chart["traces"][0]["text"][0].startswith("&lt;b&gt;&lt;b&gt;")
    assert chart["order"] == ["&lt;b&gt;" * 4]


def test_over_commits_the_runs_of_one_stand_above_each_other_in_the_order_first_run() -> None:
    first, second = "b" * 40, "a" * 40
    chart = charts.medians(trend(1.0, 2.0, 3.0, 4.0, commits=(first, second, first, "")), commits=True)

    [drawn] = chart["traces"]
    assert chart["order"] == ["b" * 12, "a" * 12, "–"]
    assert drawn["x"] == ["b" * 12, "a" * 12, "b" * 12, "–"]
    assert drawn["customdata"] == ["/runs/run-0", "/runs/run-1", "/runs/run-2", "/runs/run-3"]


def test_over_time_every_run_has_its_moment() -> None:
    chart = charts.medians(trend(1.0, 2.0, commits=("a" * 40, "a" * 40)), commits=False)

    assert "order" not in chart
    assert chart["traces"][0]["x"] == ["2026-01-01T00:00:00.000+00:00", "2026-01-01T00:01:00.000+00:00"]
