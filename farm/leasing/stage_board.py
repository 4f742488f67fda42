"""Who is doing what right now. Apart from the worker, because its process needs none of what a worker imports."""

from __future__ import annotations


class StageBoard:
    """Where workers note what they are doing, for the display of progress. Losing it loses no result."""

    def __init__(self) -> None:
        self._stages: dict[int, str] = {}

    def note(self, slot: int, stage: str) -> None:
        """`slot` has entered `stage`."""
        self._stages[slot] = stage

    def stages(self) -> dict[int, str]:
        """The last stage of every slot."""
        return dict(self._stages)
