"""What plotly.js is given to draw: plain data. Colours are names, which `charts.js` looks up in the style sheet.

plotly.js reads some HTML in what it writes, so names from outside are escaped for it here.
"""

from __future__ import annotations

import html
from typing import Any

from farm.analysis.trends import Trend, by_commit, median_of
from farm.report.charts.wall_time import NEAR
from farm.text import one_line
from kernel.clock import Clock

Chart = dict[str, Any]

_SHORT = 12  # characters of a commit


def medians(trend: Trend, commits: bool) -> Chart:
    """A median a run; a mark at each change of level; the limits, those far off by name alone.

    Over `commits` in the order in which they were first run, the runs of one above each other, or over time.
    """
    label = {each.commit: _plain(each.commit[:_SHORT]) or "–" for each in by_commit(trend)}
    runs = [f"/runs/{point.run_id}" for point in trend.points]
    told = [
        f"{label[point.commit]}<br>{median_of(point):,.2f} µs, {point.verdict.value}<br>{_plain(point.run_id)}"
        for point in trend.points
    ]
    where = [label[point.commit] if commits else point.started_at for point in trend.points]
    base = {"type": "scatter", "hovertemplate": "%{text}<extra></extra>"}
    traces: list[Chart] = [
        {
            **base,
            "mode": "markers" if commits else "lines+markers",
            "name": "median of a run",
            "x": where,
            "y": trend.medians,
            "text": told,
            "customdata": runs,
            "colour": "series",
            "line": {"width": 1},
            "marker": {"size": 6},
        }
    ]
    if trend.changes:
        at = [change.index for change in trend.changes]
        symbols = ["triangle-up" if change.change > 0 else "triangle-down" for change in trend.changes]
        traces.append(
            {
                **base,
                "mode": "markers",
                "name": "the level changed",
                "x": [where[index] for index in at],
                "y": [trend.medians[index] for index in at],
                "text": [f"{change.change:+.1%}<br>{told[change.index]}" for change in trend.changes],
                "customdata": [runs[index] for index in at],
                "colour": "marker",
                "marker": {"size": 13, "symbol": symbols},
            }
        )
    budget = trend.budget
    limits = [("budget", budget.ceiling_us), ("best landed", budget.ratchet_us)] if budget else []
    named = [(f"{name}: {us:,.2f} µs", us) for name, us in limits if us is not None]
    low, high = min(trend.medians) * (1 - NEAR), max(trend.medians) * (1 + NEAR)
    chart = {
        "traces": traces,
        "lines": [{"name": name, "y": us} for name, us in named if low <= us <= high],
        "off": [name for name, us in named if not low <= us <= high],
        "x": "Started (UTC)",
        "y": _axis(trend.clock),
    }
    return {**chart, "x": "Commit, in the order first run", "order": list(label.values())} if commits else chart


def _axis(clock: Clock) -> str:
    return f"Wall time, {clock.value} µs"


def _plain(text: str) -> str:
    return html.escape(one_line(text))
