"""What a sweep reports to its observer. The command line draws it; the tests may ignore it."""

from __future__ import annotations

from collections.abc import Sequence

from farm.model.sweep import Cell, SweepPlan


class SweepObserver:
    """Sees nothing: override what is to be seen. Called from the sweep's own thread; must return quickly, not raise."""

    def began(self, plan: SweepPlan, done: int) -> None:
        """The sweep is planned; `done` of its trials are there already."""

    def took(self, devices: Sequence[str]) -> None:
        """These devices are held from now on."""

    def measured(self, cell: Cell) -> None:
        """One trial ended."""

    def looks_again(self, devices: Sequence[str]) -> None:
        """These devices take a second look."""

    def waits(self, devices: int, why: str) -> None:
        """`devices` devices have work left and none is available now; reported repeatedly."""
