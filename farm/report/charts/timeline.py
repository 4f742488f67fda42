"""The tasks of one trial over time: a lane a core, a colour a stage, what is left grey is idle."""

from __future__ import annotations

from collections import defaultdict

from farm.analysis.stages import (
    CoreTime,
    StageProfile,
    StageTime,
    core_times,
    stage_times,
    waiting_share,
    waiting_us,
    wall_us,
)
from farm.report.charts.chart import Chart, Part, label, layout
from farm.report.charts.palette import VERMILION, Fill, fills
from farm.text import microseconds, one_line, share
from jobs.records import TaskRecord, TrialRecord

MAX_TASKS = 4000  # of one chart: a browser draws as many in about a second
MAX_NAMED_LANES = 100  # each of them has its name; of more, plotly chooses
_LANE_PX = 13
_HOVER = (
    "%{fullData.name}: %{customdata[0]}<br>on %{y} from %{base:.2f} µs, %{x:.2f} µs long"
    "<br>%{customdata[1]}<extra></extra>"
)


def timeline_chart(chart_id: str, trial: TrialRecord, of: StageProfile, max_tasks: int = MAX_TASKS) -> Chart:
    """The timeline of `trial`, whose tasks `of` holds; x is µs from its start. Of more than `max_tasks` the longest."""
    path = {id(step.task) for step in of.path}
    drawn = sorted(of.tasks, key=lambda task: (id(task) not in path, -task.duration_us))[:max_tasks]
    by_stage: dict[str, list[TaskRecord]] = defaultdict(list)
    for task in drawn:
        by_stage[task.stage].append(task)
    times = stage_times(of)
    stages = [stage.stage for stage in sorted(times, key=lambda stage: -stage.total_us)]
    fill = fills(stages)
    first_us = min(task.start_us for task in of.tasks)
    bars = [_bars(stage, by_stage[stage], first_us, path, fill[stage]) for stage in stages]
    cores = core_times(of.tasks)
    lanes = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [label(core.core) for core in reversed(cores)],
        "showgrid": False,
        "tickfont": {"size": 10},
        "fixedrange": True,
    }
    figure = layout(
        barmode="overlay",
        bargap=0.12,
        height=130 + _LANE_PX * len(cores),
        plot_bgcolor="rgba(128,128,128,0.18)",
        xaxis={
            "title": {"text": f"{trial.clock.value} µs from the first task on"},
            "range": [0, wall_us(of.tasks)],
            "zeroline": False,
        },
        yaxis=lanes | ({"dtick": 1} if len(cores) <= MAX_NAMED_LANES else {}),
    )
    return Chart(chart_id, _said(trial, of, cores, times, len(drawn)), bars, figure, zooms=True)


def _bars(stage: str, tasks: list[TaskRecord], first_us: float, path: set[int], fill: Fill) -> Part:
    """One stage's tasks; those whose identity is in `path` are outlined."""
    on_path = [id(task) in path for task in tasks]
    starts = [round(task.start_us - first_us, 4) for task in tasks]
    return {
        "type": "bar",
        "orientation": "h",
        "base": starts,
        "x": [round(task.duration_us, 4) for task in tasks],
        "y": [label(task.core) for task in tasks],
        "name": label(stage) or "unnamed",
        "marker": {
            "color": fill.colour,
            "pattern": {"shape": fill.pattern, "size": 5, "fillmode": "overlay"},
            "line": {"color": VERMILION, "width": [2.5 if outlined else 0 for outlined in on_path]},
        },
        "customdata": [
            [label(task.name), "critical path" if outlined else ""]
            for task, outlined in zip(tasks, on_path, strict=True)
        ],
        "hovertemplate": _HOVER,
    }


def _said(trial: TrialRecord, of: StageProfile, cores: list[CoreTime], stages: list[StageTime], drawn: int) -> str:
    waited = waiting_share(of)
    busy = sum(core.busy_share for core in cores) / len(cores)
    words = [
        f"Timeline of case {one_line(trial.case)} on {one_line(trial.device)}, repeat {trial.repeat}: "
        f"{len(trial.tasks)} tasks on {len(cores)} cores over {microseconds(wall_us(of.tasks))} "
        f"{trial.clock.value} µs; the cores work {share(busy)} of that time on average"
    ]
    if stages and stages[0].critical_share is not None:
        words.append(
            f"the critical path is outlined, the longest part of it is {one_line(stages[0].stage) or 'unnamed'} "
            f"with {microseconds(stages[0].critical_us)} µs ({share(stages[0].critical_share)})"
        )
    if waited:
        words.append(f"nothing on it ran for {microseconds(waiting_us(of))} µs ({share(waited)})")
    if drawn < len(trial.tasks):
        words.append(f"the {drawn} longest tasks are drawn")
    return "; ".join(words) + "."
