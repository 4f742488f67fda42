"""A kernel's measured history as Markdown and as a picture."""

from __future__ import annotations

import math

from farm.model.ledger import LedgerEntry, LedgerRecord
from farm.report import svg
from farm.text import one_line
from kernel.clock import Clock

_SIMULATED = (
    "These are µs of PyPTO's cost model. The published history of this operator was measured in µs on hardware. The "
    "two are different yardsticks: steps may be compared by sign and order, times may not."
)

_BAR, _POINT = "#4477aa", "#c0334d"
_BAR_PX, _STEP_PX, _HEIGHT = 44, 72, 300  # of one bar, from bar to bar, of the whole scale
_LEFT, _TOP = 80, 70
_LABEL = 24  # characters of a step's name
_GRID = 6  # lines of the scale at most


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
    top = max([us for us in (*so_far, *without) if us is not None], default=1.0) * 1.05
    bottom, width = _TOP + _HEIGHT, _LEFT + _STEP_PX * len(names)
    parts = _scale(record, top, width)
    for number, (name, reached, lost) in enumerate(zip(names, so_far, without, strict=True)):
        middle = _LEFT + _STEP_PX * (number + 0.5)
        if reached is not None:
            height = _HEIGHT * reached / top
            parts.append(svg.box(middle - _BAR_PX / 2, bottom - height, _BAR_PX, height, _BAR))
            parts.append(svg.words(middle, bottom - height / 2, f"{reached:.1f}", 11, "middle", "#fff"))
        if lost is not None:
            parts.append(svg.diamond(middle, bottom - _HEIGHT * lost / top, 6, _POINT))
        parts.append(svg.words(middle, bottom + 14, one_line(name, _LABEL), 11, "end", turn=-30))
    deep = max(svg.width_of(one_line(name, _LABEL), 11) for name in names) / 2 + 30
    return svg.document(width + 20, bottom + deep, f"time of {record.kernel} after each step", parts)


def _scale(record: LedgerRecord, top: float, width: float) -> list[str]:
    """Title, legend, and lines at round times with their numbers."""
    parts = [svg.words(_LEFT, 16, f"{record.kernel} {record.case} on {record.platform}", 14)]
    parts += [svg.box(_LEFT, 34, 11, 11, _BAR), svg.words(_LEFT + 18, 40, "all steps so far")]
    parts += [svg.diamond(_LEFT + 146, 40, 6, _POINT), svg.words(_LEFT + 158, 40, "best without it")]
    parts.append(svg.words(18, _TOP + _HEIGHT / 2, f"{record.clock.value} µs", 12, "middle", turn=-90))
    step = _round_step(top)
    for number in range(int(top / step) + 1):
        y = _TOP + _HEIGHT * (1 - number * step / top)
        parts.append(svg.line(_LEFT, y, width, y, "#ddd"))
        parts.append(svg.words(_LEFT - 8, y, f"{number * step:g}", 11, "end"))
    return parts


def _round_step(top: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that makes at most `_GRID` steps up to `top`."""
    power = 10.0 ** math.floor(math.log10(top / _GRID))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if top / step <= _GRID)


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
