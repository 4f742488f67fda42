"""A call in a daemon thread of its own, which can be left: neither its caller nor the process's end waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class BackgroundCall(Generic[T]):
    """Calls `call(*arguments)` at once; `name` is the thread's."""

    def __init__(self, name: str, call: Callable[..., T], *arguments: Any) -> None:
        self._future: futures.Future[T] = futures.Future()

        def run() -> None:
            try:
                self._future.set_result(call(*arguments))
            except BaseException as error:  # noqa: BLE001 - not swallowed: raised again in the thread that asked
                self._future.set_exception(error)

        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def ended(self, limit_s: float) -> bool:
        """Whether it has ended, after waiting up to `limit_s` for it."""
        return bool(futures.wait([self._future], limit_s).done)

    def under_way(self) -> bool:
        """Whether its thread goes on."""
        return self._thread.is_alive()

    def result(self) -> T:
        """Return what it has returned, or raise what it has raised; waits for its end."""
        return self._future.result()
