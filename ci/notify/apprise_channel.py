"""Notices by Apprise, for the services that it knows and the farm does not."""

from __future__ import annotations

import asyncio

from ci.config.notify import AppriseNotify
from ci.errors import ChannelUnavailableError
from ci.notify.notice import Notice
from ci.notify.web import TIMEOUT_S


class AppriseChannel:
    """Sends the notice's title, reason and link to one of Apprise's addresses."""

    def __init__(self, section: AppriseNotify, timeout_s: float = TIMEOUT_S) -> None:
        self._section = section
        self._timeout_s = timeout_s

    async def tell(self, notice: Notice) -> None:
        """Send it. Apprise says only whether it was sent, so every failure is tried again.

        Its own log, which may have parts of the address, is not repeated.
        """
        import apprise  # of the extra `notify`; loads a hundred services

        sender = apprise.Apprise()
        if not sender.add(self._section.url.get_secret_value()):
            raise ChannelUnavailableError("Apprise does not take the address; check it with `apprise -vv`")
        text = "\n".join(line for line in (notice.reason, notice.url) if line)
        try:
            sent = await asyncio.wait_for(sender.async_notify(body=text, title=notice.title), self._timeout_s)
        except asyncio.TimeoutError as error:
            raise ChannelUnavailableError(f"Apprise has not sent it within {self._timeout_s:g} s") from error
        if not sent:
            raise ChannelUnavailableError("Apprise could not send it; check the address with `apprise -vv`")
