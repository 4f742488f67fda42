"""What a workflow needs of leased devices, from either source: Ray (`farm.leasing.lease`) or this machine alone
(`farm.leasing.local_lease`).

Loads no Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from farm.leasing.device_queue import QueueEntry
from farm.model.run import DeviceRecord
from jobs.records import TrialRequest
from kernel.platforms.protocol import Platform

PlatformFactory = Callable[[], Platform]
Waiting = Callable[[list[QueueEntry], float], None]  # those ahead, seconds waited so far


@dataclass(frozen=True, slots=True)
class Replaced:
    """The new place of a slot whose worker was lost."""

    moved: bool  # it is on another device now
    unfit: str  # the physical card it left, as `card_of` names it, where that failed its canary; "" where it did not


class WorkerLostError(Exception):
    """A call to a worker has no answer: its process or its node is gone."""

    def __init__(self, signal: str, detail: str) -> None:
        """`signal` is what `jobs.faults.failures.lost` takes, `detail` all that is known."""
        self.signal = signal
        self.detail = detail
        super().__init__(f"{signal}: {detail}")


class DeviceLease(Protocol):
    """Exclusive use of devices, numbered by slot, each with a worker process. A slot outlives its device."""

    queue_s: float  # seconds spent waiting for devices, so far
    since: float  # time.monotonic() of when they were got

    @property
    def slots(self) -> list[int]:
        """Slots with a worker."""
        ...

    @property
    def held(self) -> list[DeviceRecord]:
        """Every device this lease has held, replaced ones too, in the order it got them."""
        ...

    @property
    def yields(self) -> bool:
        """Whether it is to be given up between two trials where somebody who goes first waits."""
        ...

    def device(self, slot: int) -> DeviceRecord:
        """The device `slot` holds now."""
        ...

    def start_build(self, slot: int, request: TrialRequest) -> Any:
        """Have the worker of `slot` build; what is returned is hashable, and for `ended` and `result`."""
        ...

    def start_trial(
        self, slot: int, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str
    ) -> Any:
        """Have the worker of `slot` make a trial; see `start_build`."""
        ...

    def ended(self, calls: Sequence[Any], timeout_s: float) -> list[Any]:
        """Those of `calls` that have ended, after waiting up to `timeout_s` for the first of them."""
        ...

    def result(self, call: Any) -> Any:
        """The record of a call that has ended. Raises `WorkerLostError` where there is none."""
        ...

    def stages(self) -> Mapping[int, str]:
        """What each slot is doing, as far as it is known."""
        ...

    def require_head(self) -> None:
        """Raise `HeadLostError` where the cluster's head node does not answer any more."""
        ...

    def wanted_by_others(self) -> list[QueueEntry]:
        """Runs for which this one should give way at its next trial boundary."""
        ...

    def yield_devices(self, on_wait: Waiting = ...) -> None:
        """Give every device back, and take as many again once those who go first have theirs."""
        ...

    def replace(self, slot: int) -> Replaced:
        """Put `slot` on another device, or on its own with a fresh process. Raises `InfrastructureError`."""
        ...

    def renew(self, slot: int) -> Replaced | None:
        """A fresh process on the device of `slot`, or its new place where that cannot be used.

        Raises `InfrastructureError`.
        """
        ...

    def release(self) -> None:
        """Give every device back. Safe to call twice."""
        ...


def card_of(device: DeviceRecord) -> str:
    """The physical card of `device`, unique in the cluster: the witness, where a device speaks."""
    return f"{device.node_id}/{device.card}"
