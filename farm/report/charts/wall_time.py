"""Wall time of every trial of one case: points a device, its median, the case's median and spread, and the limits."""

from __future__ import annotations

from collections.abc import Sequence

from farm.analysis.figures import CaseTime
from farm.report.charts.chart import Chart, Part, above, across, label, layout
from farm.report.charts.palette import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from farm.text import counted, counting_order, microseconds, one_line
from jobs.records import TrialRecord

MAX_DEVICES = 64
NEAR = 0.25  # limits within this share of the data are drawn; one far away would press all points into a line
_ROOM = 0.01


def wall_chart(chart_id: str, time: CaseTime, trials: Sequence[TrialRecord], baseline_us: float | None = None) -> Chart:
    """`trials` are the measured ones of the case; `baseline_us` is a median of the same clock to compare with.

    More than `MAX_DEVICES` devices: the slowest are drawn.
    """
    slowest = set(sorted(time.per_device, key=lambda name: -time.per_device[name])[:MAX_DEVICES])
    shown = sorted(slowest, key=counting_order)
    points = [trial for trial in trials if trial.device in slowest and trial.wall_us is not None]
    limits = _limits(time, baseline_us)
    low, high = _range([trial.wall_us or 0.0 for trial in points], time, [us for us, *_ in limits])
    drawn = [limit for limit in limits if low <= limit[0] <= high]
    figure = layout(
        height=340,
        xaxis={
            "tickvals": list(range(len(shown))),
            "ticktext": [label(device) for device in shown],
            "range": [-0.6, len(shown) - 0.4],
            "showgrid": False,
            "zeroline": False,
        },
        yaxis={
            "title": {"text": f"{time.clock.value} µs"},
            "range": [low, high],
            "zeroline": False,
            "tickformat": ",.2f",
            "automargin": True,
        },
        shapes=[across(us, {"color": colour, "dash": dash, "width": 2}) for us, _, colour, dash in drawn]
        + _spread(time),
        annotations=[above(us, name) for us, name, *_ in drawn],
    )
    off = [name for us, name, *_ in limits if not low <= us <= high]
    return Chart(chart_id, _said(time, limits, off, len(shown)), _points(time, points, shown), figure)


def _spread(time: CaseTime) -> list[Part]:
    """The case's median as a line, in a band of its median absolute deviation."""
    if time.median_us is None:
        return []
    spread = time.mad_us or 0.0
    line = across(time.median_us, {"color": GREY, "width": 1})
    ends = {"y0": time.median_us - spread, "y1": time.median_us + spread}
    band = {**line, **ends, "type": "rect", "line": {"width": 0}, "fillcolor": GREY, "opacity": 0.25}
    return [band, line]


def _points(time: CaseTime, trials: Sequence[TrialRecord], shown: Sequence[str]) -> list[Part]:
    """A point for each of `trials` and a dash for the median of each device."""
    place = {device: number for number, device in enumerate(shown)}
    trial_points = {
        "name": "trial",
        "x": [place[trial.device] for trial in trials],
        "y": [trial.wall_us for trial in trials],
        "marker": {"color": BLUE, "size": 9, "opacity": 0.75},
        "customdata": [[label(trial.device), trial.repeat] for trial in trials],
        "hovertemplate": "%{customdata[0]}, repeat %{customdata[1]}<br>%{y:.2f} µs<extra></extra>",
    }
    medians = {
        "name": "median of the device",
        "x": list(place.values()),
        "y": [time.per_device[device] for device in shown],
        "marker": {"symbol": "line-ew", "size": 26, "line": {"width": 2, "color": ORANGE}},
        "hovertemplate": "median %{y:.2f} µs<extra></extra>",
    }
    return [{"type": "scatter", "mode": "markers", **trace} for trace in (trial_points, medians)]


def _limits(time: CaseTime, baseline_us: float | None) -> list[tuple[float, str, str, str]]:
    """µs, what it is, colour and dash of each limit there is."""
    binding = time.ceiling_us if time.limit_us == time.ceiling_us else None  # a device's limit binds no simulated run
    found = [
        (binding, "ceiling", VERMILION, "solid"),
        (time.ratchet_us, "best landed", GREEN, "dash"),
        (baseline_us, "baseline", PURPLE, "dot"),
    ]
    return [(us, name, colour, dash) for us, name, colour, dash in found if us is not None]


def _range(values: Sequence[float], time: CaseTime, limits: Sequence[float]) -> tuple[float, float]:
    """Of the y axis: everything measured, and the limits that are not far from it."""
    seen = [*values, *([time.median_us] if time.median_us is not None else [])]
    if not seen:
        return 0.0, 1.05 * max([1.0, *limits])
    low, high = min(seen), max(seen)
    near = [us for us in limits if low * (1 - NEAR) <= us <= high * (1 + NEAR)]
    low, high = min([low, *near]), max([high, *near])
    room = max(0.1 * (high - low), _ROOM * high)  # equal values are a line in the middle, not a scale of nothing
    return low - room, high + room


def _said(time: CaseTime, limits: Sequence[tuple[float, str, str, str]], off: Sequence[str], shown: int) -> str:
    parts = [f"Wall time of case {one_line(time.case)} in {time.clock.value} µs"]
    if time.median_us is not None:
        parts.append(
            f"median {microseconds(time.median_us)}, median absolute deviation {microseconds(time.mad_us)}, "
            f"{counted(time.samples, 'sample')} on {counted(len(time.per_device), 'device')}"
        )
    else:
        parts.append("nothing was measured")
    parts += [
        f"{name} {microseconds(us)}{' (outside the drawn range)' if name in off else ''}" for us, name, *_ in limits
    ]
    if shown < len(time.per_device):
        parts.append(f"the {shown} slowest devices are drawn")
    return "; ".join(parts) + "."
