"""What ends a run from outside: the outer rungs of the timeout ladder, and a cluster without its head."""

from __future__ import annotations

import time
from collections.abc import Sequence

from farm.errors import InfrastructureError
from farm.leasing.device_lease import DeviceLease
from farm.model.timeouts import Timeouts


class LimitError(InfrastructureError):
    """A lease was held, or a run took, longer than it may. Names what was under way, the innermost thing known."""

    def __init__(self, what: str, limit_s: float, option: str, under_way: Sequence[str]) -> None:
        self.what = what
        self.limit_s = limit_s
        during = f"; under way: {', '.join(under_way)}" if under_way else ""
        super().__init__(f"the {what} limit of {limit_s:g} s is over ({option} raises it){during}")


class RunDeadlines:
    """The clock of one run. Time spent waiting for devices counts towards neither limit."""

    def __init__(self, timeouts: Timeouts, lease: DeviceLease) -> None:
        self.timeouts = timeouts
        self._lease = lease
        self._begun = time.monotonic()
        self._queued_before_s = lease.queue_s

    def check(self, under_way: Sequence[str] = ()) -> None:
        """Raise `LimitError` where one of the two limits is over, `HeadLostError` where the cluster's head is gone."""
        self._lease.require_head()
        now = time.monotonic()
        if now - self._lease.since > self.timeouts.lease_s:
            raise LimitError("lease", self.timeouts.lease_s, "--lease-timeout", under_way)
        queued_s = self._lease.queue_s - self._queued_before_s
        if now - self._begun - queued_s > self.timeouts.run_s:
            raise LimitError("run", self.timeouts.run_s, "--run-timeout", under_way)
