"""Gets slots new workers in the background, so that one lost device does not hold up the others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from farm.errors import InfrastructureError
from farm.leasing.device_lease import Replaced
from jobs.records import Failure, Fault


class SlotRecovery:
    """Slots without a working worker, recovered one after the other: the lease is not for two threads at once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mending")
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
        """Call `mend(slot)`, which may raise `InfrastructureError`, as soon as it is its turn."""
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
