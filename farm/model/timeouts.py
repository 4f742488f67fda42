"""The time limits of a run as one ladder: each rung lies inside the next, so the innermost speaks first.

Turned round, the outer limit would end a trial before the device could say what is wrong with it. The wait for devices
(`--wait`) is not a rung: it is over before any of these begins.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from farm.errors import UsageError
from kernel.platforms.device_limits import SHORTEST_DEVICE_OP_S, DeviceLimits

# The device's scheduler starts its clock this much later than the host: kernels are registered, libraries loaded and
# cores greeted first. simpler's runtime ignores limits that leave it less.
ARMING_S = 1.5

# ACL_DEVICE_SYNC_TIMEOUT is in whole seconds and becomes milliseconds in 32 bits.
_LONGEST_SYNC_S = 2_147_483


@dataclass(frozen=True, slots=True)
class Rung:
    """One limit: what happens when it is reached, and how it is set."""

    field: str  # of `Timeouts`
    name: str
    option: str  # of the command line
    then: str  # who ends what, as a clause


# Innermost first. The first three exist on a device only; a simulated platform has no operator that could hang there.
LADDER = (
    Rung("scheduler_s", "scheduler", "--scheduler-timeout", "the device's scheduler ends tasks that make no progress"),
    Rung("device_op_s", "device op", "--device-op-timeout", "CANN ends an operator"),
    Rung("stream_sync_s", "stream sync", "--sync-timeout", "the worker ends its wait for the device"),
    Rung("trial_s", "trial", "--trial-timeout", "the farm ends a trial together with its worker"),
    Rung("lease_s", "lease", "--lease-timeout", "the farm ends a lease"),
    Rung("run_s", "run", "--run-timeout", "the farm ends a run"),
)
_ON_DEVICE = 3


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Every limit in seconds.

    The device's 10, 45 and 50 s are simpler's defaults since its issue 2005: with 2, 3 and 4 s a slow host tripped
    them. 900 s is some twenty times what a trial of the reference kernel takes where three simulations share two
    cores. A lease ends before its run, so that the run can still say so.
    """

    scheduler_s: float = 10.0
    device_op_s: float = 45.0
    stream_sync_s: float = 50.0
    trial_s: float = 900.0
    lease_s: float = 4 * 3600.0
    run_s: float = 5 * 3600.0

    def checked(self, *, simulated: bool = False) -> Timeouts:
        """Itself. Raises `UsageError` where a limit is not a time or two of them are the wrong way round.

        A `simulated` platform has no device to limit, so only trial, lease and run are looked at.
        """
        ladder = LADDER[_ON_DEVICE:] if simulated else LADDER
        for rung in ladder:
            self._require_time(rung)
        for inner, outer in itertools.pairwise(ladder):
            self._require_above(outer, inner)
        if not simulated:
            self._require_device_limits()
        return self

    def environment(self) -> dict[str, str]:
        """Variables for the process that holds a device; `kernel.platforms.device_limits` reads them."""
        return DeviceLimits(self.scheduler_s, self.device_op_s, self.stream_sync_s).variables()

    def _value(self, rung: Rung) -> float:
        return float(getattr(self, rung.field))

    def _require_time(self, rung: Rung) -> None:
        value = self._value(rung)
        if not math.isfinite(value) or value <= 0:
            raise UsageError(f"{rung.option} {_plain(value)} is not a time; give it in seconds, more than 0")

    def _require_above(self, outer: Rung, inner: Rung, margin_s: float = 0.0) -> None:
        high, low = self._value(outer), self._value(inner)
        if high > low + margin_s:
            return
        more = f" and {margin_s:g} s more" if margin_s else ""
        raise UsageError(
            f"{outer.option} {_plain(high)} is not above the {inner.name} of {_plain(low)} s{more}; "
            f"raise it or lower {inner.option}"
        )

    def _require_device_limits(self) -> None:
        """What the Ascend runtime silently makes something else of."""
        scheduler, operator, sync = LADDER[:_ON_DEVICE]
        self._require_above(sync, scheduler, ARMING_S)
        for rung, shortest, advice in ((scheduler, 1e-3, "0.001"), (operator, SHORTEST_DEVICE_OP_S, "4.3")):
            if self._value(rung) < shortest:
                told = f"{rung.option} {_plain(self._value(rung))}"
                raise UsageError(f"{told} is shorter than the runtime can wait; give at least {advice} seconds")
        if self.stream_sync_s % 1 or self.stream_sync_s > _LONGEST_SYNC_S:
            raise UsageError(
                f"{sync.option} {_plain(self.stream_sync_s)} is not a whole number of seconds up to {_LONGEST_SYNC_S}; "
                "torch_npu knows no other"
            )


def _plain(seconds: float) -> str:
    """As it was typed: 40, not 40.0, and 2147484, not 2.14748e+06."""
    return f"{seconds:.12g}"
