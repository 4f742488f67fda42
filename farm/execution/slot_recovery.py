"""Gets slots new workers in the background, so that one lost device holds up no other, working or lost.

A recovery waits for Ray and for a process that starts, seconds on a device, and takes hardly any time of this process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from farm.errors import InfrastructureError
from farm.leasing.device_lease import Replaced
from jobs.records import Failure, Fault

# A node that dies takes eight or sixteen devices along; each recovery beyond these waits for one of them to end.
AT_ONCE = 32


class SlotRecovery:
    """Slots without a working worker, up to `AT_ONCE` of them recovered side by side."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="mending")
        self._slots: dict[int, Future[Replaced | None]] = {}

    def __enter__(self) -> SlotRecovery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever leaves early releases the lease next, which ends what is under way here.
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def __bool__(self) -> bool:
        return bool(self._slots)

    def begin(self, slot: int, mend: Callable[[int], Replaced | None]) -> None:
        """Call `mend(slot)`, which may raise `InfrastructureError`, in a thread, where others may be under way."""
        self._slots[slot] = self._pool.submit(mend, slot)

    def done(self) -> tuple[dict[int, Replaced | None], dict[int, Failure]]:
        """Slots that have a worker again, and those that could not be recovered with the reason; each reported once."""
        ended = {slot: future for slot, future in self._slots.items() if future.done()}
        mended: dict[int, Replaced | None] = {}
        lost = {}
        for slot, future in ended.items():
            del self._slots[slot]
            try:
                mended[slot] = future.result()
            except InfrastructureError as error:
                lost[slot] = Failure(fault=Fault.NODE, kind="no-replacement", message=str(error))
        return mended, lost
