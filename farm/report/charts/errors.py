"""How far the elements of each output are from what was expected, in units of the bound they were held to."""

from __future__ import annotations

from collections.abc import Sequence

from farm.analysis.figures import WorstOutput
from farm.report.charts.chart import Chart, Part, label, layout
from farm.report.charts.palette import VERMILION, Fill, fills
from farm.text import one_line, share
from jobs.records import ErrorHistogramRecord

MAX_OUTPUTS = 12
_HOVER = "%{fullData.name}, |error| %{x} of the bound<br>%{customdata:,} elements, %{y:.3%}<extra></extra>"


def error_chart(chart_id: str, case: str, outputs: Sequence[WorstOutput]) -> Chart | None:
    """A group of bars a bin, a bar an output, of its worst trial; None where no output has a distribution.

    Shares are on a logarithmic axis: one outlier in a million matters. Bins right of 1 are outliers.
    """
    drawn = [(found.output, errors) for found in outputs if (errors := found.worst.tolerance.errors)][:MAX_OUTPUTS]
    if not drawn:
        return None
    edges = drawn[0][1].edges
    drawn = [(name, errors) for name, errors in drawn if errors.edges == edges]
    fill = fills([name for name, _ in drawn])
    traces = [_bars(name, errors, fill[name]) for name, errors in drawn]
    limit = sum(edge <= 1.0 for edge in edges) - 0.5
    mark = {"type": "line", "x0": limit, "x1": limit, "yref": "y domain", "y0": 0, "y1": 1}
    word = {"x": limit, "xanchor": "left", "yref": "y domain", "y": 1, "yanchor": "top", "showarrow": False}
    powers = range(-8, 1)
    share_axis = {
        "type": "log",
        "title": {"text": "share of elements"},
        "automargin": True,
        "tickvals": [10.0**power for power in powers],
        "ticktext": [f"{100 * 10.0**power:g} %" for power in powers],
    }
    figure = layout(
        barmode="group",
        height=340,
        # Names that do not fit stand upright, which takes more room than the margin has.
        xaxis={"type": "category", "title": {"text": "|error| in units of its bound"}, "automargin": True},
        yaxis=share_axis,
        shapes=[{**mark, "line": {"color": VERMILION, "width": 2}}],
        annotations=[{**word, "text": "outliers →"}],
    )
    said = [
        f"{one_line(name)}: {share(outlier_share(errors))} of the elements are beyond the bound"
        for name, errors in drawn
    ]
    return Chart(chart_id, f"Distribution of errors of case {one_line(case)}. " + "; ".join(said) + ".", traces, figure)


def _bars(name: str, errors: ErrorHistogramRecord, fill: Fill) -> Part:
    """The bars of one output; a bin without elements has none, since the axis is logarithmic."""
    total = sum(errors.counts) or 1
    return {
        "type": "bar",
        "x": bin_names(errors),
        "y": [count / total or None for count in errors.counts],
        "name": label(name),
        "marker": {"color": fill.colour, "pattern": {"shape": fill.pattern, "fillmode": "overlay"}},
        "customdata": list(errors.counts),
        "hovertemplate": _HOVER,
    }


def bin_names(errors: ErrorHistogramRecord) -> list[str]:
    """What each bin holds, in units of the bound."""
    names = [f"≤ {edge:.3g}" if edge else "exact" for edge in errors.edges]
    return [*names, f"> {errors.edges[-1]:.3g}"] if names else ["all"]


def outlier_share(errors: ErrorHistogramRecord) -> float:
    """Of all elements those with an error above the bound."""
    inside = sum(edge <= 1.0 for edge in errors.edges)
    return sum(errors.counts[inside:]) / (sum(errors.counts) or 1)
