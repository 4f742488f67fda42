"""Draws a sweep while it goes on: one bar with what is left to do; plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from farm.cli import first_line
from farm.model.sweep import Cell, SweepPlan
from farm.sweep.observer import SweepObserver
from farm.sweep.schedule import first_look
from farm.text import counted, one_line

_SHOWN = 6  # devices named in one line


class SweepView(SweepObserver):
    """A line for each wave and for whatever went wrong; good trials only move the bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar: TaskID | None = None
        self._repeats = 0  # of a first look, which is what the bar counts
        self._waiting = False

    def __enter__(self) -> SweepView:
        """Start drawing, where somebody sees it."""
        if self._console.is_terminal:
            first_line.no_longer_needed()
            self._progress.start()
        self._bar = self._progress.add_task("starting Ray", total=None, note="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop drawing and leave the terminal as it was."""
        if self._console.is_terminal:
            self._progress.stop()

    def began(self, plan: SweepPlan, done: int) -> None:
        """Announce the sweep."""
        self._repeats = plan.request.repeats
        trials = len(first_look(plan.request)) * len(plan.devices)
        self._update(description=f"sweep {plan.sweep_id}", total=trials, completed=done)
        there = f", {done} there already" if done else ""
        self._say(f"sweep {plan.sweep_id}: {counted(trials, 'trial')} on {counted(len(plan.devices), 'device')}{there}")
        if plan.quarantined:
            self._say(f"left out, quarantined: {_named(plan.quarantined)}")

    def took(self, devices: Sequence[str]) -> None:
        """Announce a wave."""
        self._waiting = False
        self._say(f"on {counted(len(devices), 'device')}: {_named(devices)}")

    def measured(self, cell: Cell) -> None:
        """Move the bar."""
        assert self._bar is not None
        self._progress.advance(self._bar, cell.repeat < self._repeats)
        where = f"{cell.case} seed {cell.seed} repeat {cell.repeat} on {cell.device}"
        self._update(note=where)
        if cell.failure is not None:
            self._say(f"{where}: {cell.failure.kind}: {cell.failure.message}")

    def looks_again(self, devices: Sequence[str]) -> None:
        """Announce a second look."""
        self._say(f"second look on {_named(devices)}")

    def waits(self, devices: int, why: str) -> None:
        """Say once that there is nothing to do but wait."""
        if not self._waiting:
            self._say(f"{devices} devices have work left: {why}")
        self._waiting = True

    def _update(self, **fields: object) -> None:
        assert self._bar is not None
        self._progress.update(self._bar, **fields)  # type: ignore[arg-type]  # rich takes any field of a column

    def _say(self, text: str) -> None:
        self._console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)


def sweep_view(console: Console, quiet: bool) -> SweepView:
    """A view on `console`; one that says nothing for `--json`."""
    return SweepView(Console(quiet=True) if quiet else console)


def _named(devices: Sequence[str]) -> str:
    more = f" and {len(devices) - _SHOWN} more" if len(devices) > _SHOWN else ""
    return ", ".join(devices[:_SHOWN]) + more
