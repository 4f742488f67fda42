"""How far the elements of each output are from what was expected, in units of the bound they were held to."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from farm.analysis.figures import WorstOutput
from farm.report.charts.chart import LAYOUT, Chart, label
from farm.report.charts.palette import VERMILION, fills
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
    figure = go.Figure(layout=LAYOUT)
    fill = fills([name for name, _ in drawn])
    for name, errors in drawn:
        total = sum(errors.counts) or 1
        figure.add_bar(
            x=bin_names(errors),
            y=[count / total or None for count in errors.counts],
            name=label(name),
            marker={"color": fill[name].colour, "pattern": {"shape": fill[name].pattern, "fillmode": "overlay"}},
            customdata=list(errors.counts),
            hovertemplate=_HOVER,
        )
    inside = sum(edge <= 1.0 for edge in edges)
    figure.add_vline(inside - 0.5, line={"color": VERMILION, "width": 2}, annotation_text="outliers →")
    # Names that do not fit stand upright, which takes more room than the margin has.
    figure.update_xaxes(type="category", title="|error| in units of its bound", automargin=True)
    powers = range(-8, 1)
    figure.update_yaxes(
        type="log",
        title="share of elements",
        automargin=True,
        tickvals=[10.0**power for power in powers],
        ticktext=[f"{100 * 10.0**power:g} %" for power in powers],
    )
    figure.update_layout(barmode="group", height=340)
    said = [
        f"{one_line(name)}: {share(outlier_share(errors))} of the elements are beyond the bound"
        for name, errors in drawn
    ]
    return Chart(chart_id, f"Distribution of errors of case {one_line(case)}. " + "; ".join(said) + ".", figure)


def bin_names(errors: ErrorHistogramRecord) -> list[str]:
    """What each bin holds, in units of the bound."""
    names = [f"≤ {edge:.3g}" if edge else "exact" for edge in errors.edges]
    return [*names, f"> {errors.edges[-1]:.3g}"] if names else ["all"]


def outlier_share(errors: ErrorHistogramRecord) -> float:
    """Of all elements those with an error above the bound."""
    inside = sum(edge <= 1.0 for edge in errors.edges)
    return sum(errors.counts[inside:]) / (sum(errors.counts) or 1)
