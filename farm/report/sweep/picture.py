"""`matrix.svg`: the matrix of a sweep as a picture, a row for each device, a column for each output of each seed."""

from __future__ import annotations

from farm.model.sweep import SweepRecord
from farm.report import svg
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
_SQUARE, _SIZE = 18, 10  # pixels: a square of the matrix, and the letters beside it
_LABEL = 32  # characters of a name; what tells two devices apart is at its end
_TOP = 40  # for the title
_GAP = 8


def picture(record: SweepRecord) -> str:
    """The picture as SVG, which grows with rows and columns; the same record gives the same picture."""
    columns, rows = all_columns(record), matrix(record)
    below = [_label(f"{column.case} s{column.seed} {column.output}") for column in columns]
    beside = [_label(device) for device in rows]
    left = _GAP * 2 + max((svg.width_of(name, _SIZE) for name in beside), default=0)
    right, bottom = left + _SQUARE * len(columns), _TOP + _SQUARE * len(rows)
    parts = [
        _square(row[column].mark, left + _SQUARE * x, _TOP + _SQUARE * y)
        for y, row in enumerate(rows.values())
        for x, column in enumerate(columns)
    ]
    parts += [svg.words(left - _GAP, _TOP + _SQUARE * (y + 0.5), name, _SIZE, "end") for y, name in enumerate(beside)]
    parts += [
        svg.words(left + _SQUARE * (x + 0.5), bottom + _GAP, name, _SIZE, "end", turn=-90)
        for x, name in enumerate(below)
    ]
    seen = {square.mark for row in rows.values() for square in row.values()}
    named = [(mark, f"{mark.value}  {MEANING[mark]}") for mark in _COLOURS if mark in seen]
    for y, (mark, meaning) in enumerate(named):
        parts.append(svg.box(right + _GAP * 2, _TOP + _SQUARE * y, _SIZE, _SIZE, _COLOURS[mark], "#000"))
        parts.append(svg.words(right + _GAP * 4, _TOP + _SQUARE * y + _SIZE / 2, meaning, _SIZE))
    title = f"{_label(record.request.kernel)} on {_label(record.request.platform)}, {_label(record.sweep_id)}"
    legend = _GAP * 6 + max((svg.width_of(meaning, _SIZE) for _, meaning in named), default=0)
    height = max(bottom + max((svg.width_of(name, _SIZE) for name in below), default=0), _TOP + _SQUARE * len(named))
    width = max(right + legend, _GAP * 2 + svg.width_of(title, _SIZE + 2))
    return svg.document(width, height + _GAP * 2, title, [svg.words(_GAP, _TOP / 2, title, _SIZE + 2), *parts])


def _square(mark: Mark, x: float, y: float) -> str:
    """A square, with the letter of its mark where it is not as it should be: no colour alone says anything."""
    drawn = svg.box(x, y, _SQUARE, _SQUARE, _COLOURS[mark], "#fff")
    if mark is Mark.AGREES:
        return drawn
    colour = "#fff" if mark in _LIGHT_TEXT else "#000"
    return drawn + svg.words(x + _SQUARE / 2, y + _SQUARE / 2, mark.value, _SIZE, "middle", colour)


def _label(text: str) -> str:
    """`text` in one line, its end where it is long."""
    flat = one_line(text)
    return flat if len(flat) <= _LABEL else f"…{flat[1 - _LABEL :]}"
