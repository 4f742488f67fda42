"""`matrix.svg`: the matrix of a sweep as a picture, a row for each device, a column for each output of each seed."""

from __future__ import annotations

import io

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from farm.model.sweep import SweepRecord
from farm.report.sweep.figures import MEANING, Mark, all_columns, matrix
from farm.text import one_line

# Paul Tol's bright scheme, told apart with any colour vision; and nothing is said by colour alone.
_COLOURS = {
    Mark.AGREES: "#bbddee",
    Mark.ODD: "#ee6677",
    Mark.UNSTEADY: "#ccbb44",
    Mark.NO_MAJORITY: "#aa3377",
    Mark.FAILED: "#444444",
    Mark.OTHER_PROGRAM: "#228833",
    Mark.MISSING: "#ffffff",
}
_LIGHT_TEXT = {Mark.NO_MAJORITY, Mark.FAILED, Mark.OTHER_PROGRAM}
_NUMBER = {mark: number for number, mark in enumerate(_COLOURS)}
_SQUARE_INCHES = 0.2
_LABEL = 32  # characters of a name; what tells two devices apart is at its end
_MARGIN_INCHES = (4.0, 2.0)  # for the names beside and below, the title and the legend


def picture(record: SweepRecord) -> str:
    """The picture as SVG; the same record gives the same picture."""
    figure = draw(record)
    FigureCanvasSVG(figure)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": record.sweep_id}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def draw(record: SweepRecord) -> Figure:
    """The matrix as a figure that grows with its rows and columns."""
    columns, rows = all_columns(record), matrix(record)
    width, height = _MARGIN_INCHES[0] + _SQUARE_INCHES * len(columns), _MARGIN_INCHES[1] + _SQUARE_INCHES * len(rows)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    if rows and columns:
        numbers = [[_NUMBER[row[column].mark] for column in columns] for row in rows.values()]
        colours = ListedColormap([*_COLOURS.values()])
        axes.imshow(numbers, cmap=colours, vmin=0, vmax=len(_COLOURS) - 1, interpolation="nearest", aspect="auto")
    for y, row in enumerate(rows.values()):
        for x, column in enumerate(columns):
            mark = row[column].mark
            if mark is not Mark.AGREES:
                colour = "white" if mark in _LIGHT_TEXT else "black"
                axes.text(x, y, mark.value, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(columns)), [_label(f"{c.case} s{c.seed} {c.output}") for c in columns], rotation=90)
    axes.set_yticks(range(len(rows)), [_label(device) for device in rows])
    axes.tick_params(labelsize=7)
    title = f"{_label(record.request.kernel)} on {_label(record.request.platform)}, {_label(record.sweep_id)}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    seen = {square.mark for row in rows.values() for square in row.values()}
    named = [(mark, f"{mark.value}  {MEANING[mark]}") for mark in _COLOURS if mark in seen]
    patches = [Patch(facecolor=_COLOURS[mark], edgecolor="black", label=label) for mark, label in named]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7)
    return figure


def _label(text: str) -> str:
    """`text` as matplotlib shows it literally (a dollar sign would begin a formula), its end where it is long."""
    flat = one_line(text)
    return (flat if len(flat) <= _LABEL else f"…{flat[1 - _LABEL :]}").replace("$", r"\$")
