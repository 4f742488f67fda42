"""How long the Ascend runtime waits, and how that is set. Written from public documentation, not tried on hardware.

Three watchdogs, each inside the next: the scheduler on the device notices that nothing moves, CANN kills an operator,
the host stops waiting for the stream. The parent process passes the values in variables of our own; the platform
hands them on, to the runtime's variables before torch_npu is imported and to CANN once the device is open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from kernel.errors import PlatformUnavailableError

_SCHEDULER, _DEVICE_OP, _SYNC = "FARM_SCHEDULER_TIMEOUT_S", "FARM_DEVICE_OP_TIMEOUT_S", "FARM_SYNC_TIMEOUT_S"

# CANN raises a shorter limit on operators to 2³² ns and says so only in a return value (simpler, issue 2292).
SHORTEST_DEVICE_OP_S = 4.294967295


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Seconds each watchdog waits."""

    scheduler_s: float
    device_op_s: float
    stream_sync_s: float

    @classmethod
    def told(cls, environment: Mapping[str, str]) -> DeviceLimits | None:
        """Read the limits from `environment`. Raises `PlatformUnavailableError` for a value that is not a time."""
        values = [environment.get(name, "") for name in (_SCHEDULER, _DEVICE_OP, _SYNC)]
        if not any(values):
            return None
        try:
            return cls(*(float(value) for value in values))
        except ValueError as error:
            reason = f"{_SCHEDULER}, {_DEVICE_OP}, {_SYNC} are {', '.join(map(repr, values))}"
            raise PlatformUnavailableError("a2a3", reason, "set all three to seconds, or none") from error

    def variables(self) -> dict[str, str]:
        """What `told` reads."""
        return {_SCHEDULER: str(self.scheduler_s), _DEVICE_OP: str(self.device_op_s), _SYNC: str(self.stream_sync_s)}

    def runtime_variables(self) -> dict[str, str]:
        """The runtimes' own variables, read when they are loaded.

        ACL_STREAM_TIMEOUT (ms) and ACL_DEVICE_SYNC_TIMEOUT (whole seconds) are torch_npu's. The SIMPLER ones are of the
        runtime newer PyPTO brings; PyPTO 0.2.0 has its scheduler's limit compiled in and does not read them.
        """
        sync_ms = round(self.stream_sync_s * 1e3)
        return {
            "ACL_STREAM_TIMEOUT": str(sync_ms),
            "ACL_DEVICE_SYNC_TIMEOUT": str(math.ceil(self.stream_sync_s)),
            "SIMPLER_STREAM_SYNC_TIMEOUT_MS": str(sync_ms),
            "SIMPLER_OP_EXECUTE_TIMEOUT_US": str(round(self.device_op_s * 1e6)),
            "SIMPLER_SCHEDULER_TIMEOUT_MS": str(round(self.scheduler_s * 1e3)),
        }

    def limit_device_op(self) -> None:
        """Tell CANN, through pyACL, how long an operator may take. The device must be open: torch_npu sets 547 s then.

        Raises `PlatformUnavailableError` where that cannot be set, or where CANN waits longer than the host would: the
        host's message would then hide the device's.
        """
        try:
            set_timeout = import_module("acl").rt.set_op_execute_timeout_v2
        except (ImportError, AttributeError) as error:
            reason = f"CANN's Python module cannot limit an operator: {error}"
            remedy = "use a CANN that can and source its set_env.sh, or unset the FARM_*_TIMEOUT_S variables"
            raise PlatformUnavailableError("a2a3", reason, remedy) from error
        actual_us, code = set_timeout(round(self.device_op_s * 1e6))
        if code:
            reason = f"CANN refuses a limit of {self.device_op_s:g} s on operators (error {code})"
            raise PlatformUnavailableError("a2a3", reason, "choose another --device-op-timeout")
        if actual_us >= self.stream_sync_s * 1e6:
            reason = f"CANN makes {actual_us / 1e6:g} s of a limit of {self.device_op_s:g} s on operators"
            raise PlatformUnavailableError(
                "a2a3", reason, f"raise --sync-timeout above it from {self.stream_sync_s:g} s"
            )
