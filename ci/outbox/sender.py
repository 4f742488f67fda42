"""Empties the outbox: takes what is due to forges and channels, and puts off what did not get through."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Engine

from ci.errors import ChannelRefusedError, ChannelUnavailableError, ForgeRefusedError, ForgeUnavailableError
from ci.forge.protocol import Check, Comment, Forge, Issue
from ci.notify.channel import Channel
from ci.notify.notice import STALE_S, Notice
from ci.outbox import outbox
from ci.outbox.backoff import delay_s
from ci.outbox.outbox import OutboxMessage
from ci.outbox.waiting import within
from farm import timestamps
from farm.errors import FarmError

LOG = logging.getLogger(__name__)

_AT_ONCE = 4  # GitHub asks for few requests at a time
_LOOK_AGAIN_S = 1.0  # rows of other processes are found no later than this


class Sender:
    """Sends one outbox. Several processes may each have one."""

    def __init__(
        self, engine: Engine, forges: Mapping[str, Forge], channels: Mapping[str, Channel] | None = None
    ) -> None:
        """`channels` are known to the outbox by "notify/" and their names."""
        self._engine = engine
        self._forges = forges
        self._channels = channels or {}
        self._rests: dict[str, datetime] = {}  # an addressee that asked to be left alone, until when
        self._posted = asyncio.Event()

    def wake(self) -> None:
        """There is something new. Call it on the event loop."""
        self._posted.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._posted.clear()
            try:
                sent = await self.send_due()
            except FarmError as error:  # the store is away; what is due stays due
                LOG.error("the outbox cannot be read: %s", error)
                sent = 0
            if not sent:
                try:
                    await within(self._posted.wait(), _LOOK_AGAIN_S)
                except asyncio.TimeoutError:
                    continue

    async def send_due(self) -> int:
        """Try everything that is due once, a few at a time; how many were tried."""
        now = timestamps.utc_now()
        resting = frozenset(forge for forge, until in self._rests.items() if until > now)
        letters = await asyncio.to_thread(outbox.claim, self._engine, now, _AT_ONCE, resting)
        await asyncio.gather(*(self._send(letter) for letter in letters))
        return len(letters)

    async def _send(self, letter: OutboxMessage) -> None:
        try:
            remote_id = await self._tell(letter)
        except (ForgeUnavailableError, ChannelUnavailableError) as error:
            await self._postpone(letter, error)
        except (ForgeRefusedError, ChannelRefusedError) as error:
            await self._refuse(letter, str(error))
        except Exception as error:
            LOG.exception("%s for %s could not be told", letter.key, letter.repository)
            await self._postpone(letter, ForgeUnavailableError(f"{type(error).__name__} while telling it"))
        else:
            await asyncio.to_thread(outbox.delivered, self._engine, letter, remote_id)

    async def _tell(self, letter: OutboxMessage) -> str:
        """Send it to its receiver; return the forge's id of what is there now, "" for a notice."""
        content = letter.content
        if isinstance(content, Notice):
            return await self._notify(letter, content)
        forge = self._forges.get(letter.forge)
        if forge is None:
            raise ChannelRefusedError(f"no [forge.{letter.forge}] is configured any more")
        if isinstance(content, Check):
            return await forge.put_check(letter.repository, content, letter.trail)
        if isinstance(content, Comment):
            return await forge.put_comment(letter.repository, content, letter.trail)
        assert isinstance(content, Issue), "the last of `ci.outbox.outbox.CONTENTS`"
        return await forge.put_issue(letter.repository, content, letter.trail)

    async def _notify(self, letter: OutboxMessage, notice: Notice) -> str:
        channel = self._channels.get(letter.forge)
        if channel is None:
            raise ChannelRefusedError(f"no [[notify]] of the name in {letter.forge} is configured any more")
        if timestamps.utc_now() - datetime.fromisoformat(notice.at) > timedelta(seconds=STALE_S):
            raise ChannelRefusedError("it could not be sent for a day and is out of date")
        await channel.tell(notice)
        return ""

    async def _postpone(self, letter: OutboxMessage, error: ForgeUnavailableError | ChannelUnavailableError) -> None:
        wait_s = delay_s(letter.attempts, error.retry_after_s, random.random())
        if error.retry_after_s is not None:  # it is the addressee that wants a rest, not this row
            self._rests[letter.forge] = timestamps.utc_now() + timedelta(seconds=error.retry_after_s)
        LOG.warning("%s: attempt %d failed, again in %.0f s: %s", letter.key, letter.attempts, wait_s, error)
        until = timestamps.later(timestamps.utc_now(), wait_s)
        await asyncio.to_thread(outbox.postpone, self._engine, letter, str(error), until)

    async def _refuse(self, letter: OutboxMessage, error: str) -> None:
        LOG.error("%s is given up: %s", letter.key, error)
        await asyncio.to_thread(outbox.refuse, self._engine, letter, error)
