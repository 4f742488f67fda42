"""A console that breaks no line of a pipe, and tables that keep the names of their rows on a narrow screen."""

from __future__ import annotations

import sys

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

_UNBROKEN = 100_000  # columns: a pipe has no width, and whoever reads it splits lines itself
_FOLDED = 16  # columns that a text which may be folded needs at least


def output_console() -> Console:
    """Return the console for stdout. Into a pipe or a file no line is wrapped, whatever COLUMNS says."""
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = _UNBROKEN
    return console


class NamedRows(Table):
    """A table without borders whose first column names each row.

    On a screen too narrow for its columns each row becomes its name with a line for each value below it: rich would
    make columns narrower until nothing of the names is left.
    """

    def __init__(self, *, gap: int = 2) -> None:
        super().__init__(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or its rows one below the other."""
        gap = self.padding[1]
        needed = sum(_needed(column) + gap for column in self.columns) - gap
        if needed <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        names, *others = self.columns
        values = [[_text(cell) for cell in column.cells] for column in others]
        for row, name in enumerate(names.cells):
            shown = _text(name)
            shown.overflow = "fold"
            yield shown
            for column, cells in zip(others, values, strict=True):
                if cells[row].plain.strip():
                    heading = " ".join(_text(column.header).plain.split())
                    yield Text.assemble(f"  {heading}: " if heading else "  ", cells[row], overflow="fold")


def _needed(column: Column) -> int:
    """Return how many columns of the screen a column of the table needs to stay readable."""
    cells = [_text(column.header), *map(_text, column.cells)]
    widest = max(line.cell_len for cell in cells for line in cell.split("\n", allow_blank=True))
    return widest if column.no_wrap else min(widest, _FOLDED)


def _text(cell: object) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(str(cell))
