"""What a way to tell people must do. A new one is a new file, its section, and one line in `ci/notify/open.py`."""

from __future__ import annotations

from typing import Protocol

from ci.notify.notice import Notice


class Channel(Protocol):
    """One [[notify]] of `farm.toml`."""

    async def tell(self, notice: Notice) -> None:
        """Send it. Raises `ChannelUnavailableError` or `ChannelRefusedError`, whose messages hold no secret.

        May be asked again for a notice that has arrived: what can, says so by the notice's id.
        """
