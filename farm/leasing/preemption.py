"""When a run is to give its devices up for somebody who goes first: asked at trial boundaries, about once a second."""

from __future__ import annotations

import time
from dataclasses import dataclass

from farm.leasing.device_lease import DeviceLease

# A trial takes seconds, an answer half a millisecond.
ASK_EVERY_S = 1.0


@dataclass(slots=True)
class PreemptionCheck:
    """Of one lease. Once somebody waits it is asked every time, so that a run that drains goes on draining."""

    lease: DeviceLease
    _asked: float = 0.0  # time.monotonic() of the last time nobody waited

    def wanted(self) -> bool:
        """Whether to start nothing more, and to call `Lease.give_way` once nothing is under way."""
        if not self.lease.yields or time.monotonic() - self._asked < ASK_EVERY_S:
            return False
        waiting = bool(self.lease.wanted_by_others())
        if not waiting:
            self._asked = time.monotonic()
        return waiting
