"""Makes SIGTERM end a command the way Ctrl-C does: devices are returned, store and terminal are left in order."""

from __future__ import annotations

import signal
from types import FrameType


def interrupt_on_sigterm() -> None:
    """Raise `KeyboardInterrupt` in the main thread from the next SIGTERM on."""
    signal.signal(signal.SIGTERM, raise_interrupt)


def raise_interrupt(signum: int, frame: FrameType | None) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt
