"""What a bisect reports to its observer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from farm.bisect.search import BisectSearch
from farm.model.bisect import CommitTestRecord
from farm.model.run import DeviceRecord

if TYPE_CHECKING:
    from farm.bisect.commit_range import CommitRange


class BisectObserver:
    """Sees nothing: override what is to be seen. Called from the bisect's own thread; returns quickly, never raises."""

    def began(self, bisect_id: str, devices: list[DeviceRecord], line: CommitRange) -> None:
        """The devices are leased and the range is read."""

    def round_began(self, number: int, positions: Sequence[int], search: BisectSearch) -> None:
        """Round `number` tests `positions`; 0 is the test of the ends."""

    def answered(self, probe: CommitTestRecord) -> None:
        """One commit has an answer."""

    def reporting(self) -> None:
        """The commit is found and is run against the last good one."""
