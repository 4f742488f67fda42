"""A kernel's measured history as Markdown and as a picture."""

from __future__ import annotations

import io

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from farm.model.ledger import LedgerEntry, LedgerRecord
from farm.text import one_line
from kernel.clock import Clock

_SIMULATED = (
    "These are µs of PyPTO's cost model. The published history of this operator was measured in µs on hardware. The "
    "two are different yardsticks: steps may be compared by sign and order, times may not."
)


def markdown(record: LedgerRecord, picture: str | None = None) -> str:
    """The ledger as a page; `picture` is the path of the plot, relative to it."""
    lines = [
        f"# Ledger of `{record.kernel}`, case `{record.case}`, on `{record.platform}`",
        "",
        f"Commit `{record.commit}`. " + (_SIMULATED if record.clock is Clock.SIMULATED else "Measured µs."),
        "",
    ]
    if picture:
        lines += [f"![time after each step]({picture})", ""]
    lines += [
        "| step | change | µs with all steps so far | gained µs | µs of the best without it | lost µs | program |",
        "|---|---|---:|---:|---:|---:|---|",
        f"| untuned | | {_time(record.untuned)} | | | | `{record.untuned.fingerprint[:8]}` |",
    ]
    lines += [
        f"| {one_line(step.name)} | {one_line(step.summary)} | {_time(step.so_far)} | {_signed(step.delta_us)} "
        f"| {_time(step.without)} | {_signed(step.loss_us)} | `{step.so_far.fingerprint[:8]}` |"
        for step in record.steps
    ]
    lines += ["", "## Time of each stage over all cores, µs (tasks)", ""]
    lines += _stage_table(record)
    lines += ["", "## Toolchain", ""]
    lines += [f"- {name}: `{version}`" for name, version in record.toolchain.items()]
    return "\n".join(lines) + "\n"


def plot(record: LedgerRecord) -> str:
    """An SVG with the time after each step as bars, and the time without each step as points."""
    names = ["untuned", *(step.name for step in record.steps)]
    so_far = [record.untuned.wall_us, *(step.so_far.wall_us for step in record.steps)]
    without = [None, *(step.without.wall_us for step in record.steps)]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    labels = ["" if us is None else f"{us:.1f}" for us in so_far]
    bars = axes.bar(names, [us or 0.0 for us in so_far], color="#4477aa", label="all steps so far")
    axes.bar_label(bars, labels=labels, fontsize=8, label_type="center", color="white")
    places = [name for name, us in zip(names, without, strict=True) if us is not None]
    axes.scatter(
        places, [us for us in without if us is not None], marker="D", color="#ee6677", zorder=3, label="best without it"
    )
    axes.set_ylabel(f"{record.clock.value} µs")
    axes.set_title(f"{record.kernel} {record.case} on {record.platform}")
    axes.tick_params(axis="x", labelrotation=30)
    axes.legend()
    FigureCanvasSVG(figure)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": record.commit}):  # the same record gives the same picture
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _stage_table(record: LedgerRecord) -> list[str]:
    points = [("untuned", record.untuned), *((step.name, step.so_far) for step in record.steps)]
    points = [(name, entry) for name, entry in points if entry.stages]
    stages = list(dict.fromkeys(stage for _, entry in points for stage in entry.stages))
    lines = ["| stage | " + " | ".join(one_line(name) for name, _ in points) + " |", "|---" * (len(points) + 1) + "|"]
    for stage in stages:
        cells = [
            f"{found.total_us:.0f} ({found.tasks})" if (found := entry.stages.get(stage)) else "–"
            for _, entry in points
        ]
        lines.append(f"| {one_line(stage) or 'unnamed'} | " + " | ".join(cells) + " |")
    return lines


def _time(entry: LedgerEntry) -> str:
    return f"{entry.wall_us:.2f}" if entry.wall_us is not None else one_line(entry.disqualified)


def _signed(us: float | None) -> str:
    return "–" if us is None else f"{us:+.2f}"
