"""What people who signed in by a forge may do here: it follows from what they may do there, and is checked again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ci.config.settings import Config
from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.protocol import Forge, Permission
from ci.store.states import Scope
from ci.web.auth.session import Account

LOG = logging.getLogger(__name__)

FRESH_S = 600.0  # an answer younger than this is not asked for again
LASTS_S = 3600.0  # and one as old as this is worth nothing, even where the forge does not answer
PAUSE_S = 60.0  # between two questions that the forge does not answer

_WRITER = frozenset({Scope.READ, Scope.SUBMIT})
_MAY = {
    Permission.NONE: frozenset[Scope](),
    Permission.READ: frozenset({Scope.READ}),
    Permission.WRITE: _WRITER,
    Permission.MAINTAIN: _WRITER | {Scope.ADMIN},
    Permission.ADMIN: _WRITER | {Scope.ADMIN},
}


def scopes_of(permission: Permission, least: str) -> frozenset[Scope]:
    """What somebody with that permission may do here; nothing below `least`, "read" or "write"."""
    return _MAY[permission] if permission.may_write or least == "read" else frozenset()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one account; times are of the clock."""

    scopes: frozenset[Scope]
    asked: float  # when the forge said so
    again: float  # when to ask next


class Members:
    """Everybody who has signed in by a forge. Of one event loop, which is where the forges are asked."""

    def __init__(
        self, config: Config, forges: Mapping[str, Forge], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terms = {name: forge.sign_in for name, forge in config.forge.items() if forge.sign_in is not None}
        self._forges = forges
        self._clock = clock
        self._known: dict[Account, _Known] = {}
        self._asking: dict[Account, asyncio.Task[None]] = {}

    async def scopes(self, account: Account, fresh: bool = False) -> frozenset[Scope]:
        """What somebody may do: `FRESH_S` old at most, or `LASTS_S` where the forge does not answer.

        `fresh` asks whatever is known. Raises `ForgeUnavailableError` where that is not known.
        """
        if account.forge not in self._terms or account.forge not in self._forges:
            return frozenset()  # signed in before the configuration was changed
        known = self._known.get(account)
        if known is None or fresh or self._clock() >= known.again:
            await asyncio.shield(self._ask(account))
            known = self._known[account]
        if self._clock() - known.asked >= LASTS_S:
            raise ForgeUnavailableError(f"{account.forge} does not say what {account.login} may do; try again later")
        return known.scopes

    def _ask(self, account: Account) -> asyncio.Task[None]:
        """One question at a time for each account, however many pages of theirs wait for the answer."""
        if account not in self._asking:
            self._asking[account] = asyncio.create_task(self._asked(account))
            self._asking[account].add_done_callback(lambda _: self._asking.pop(account, None))
        return self._asking[account]

    async def _asked(self, account: Account) -> None:
        terms = self._terms[account.forge]
        try:
            permission = await self._forges[account.forge].permission(terms.repository, account.login)
        except ForgeRefusedError:  # there is no such account any more
            permission = Permission.NONE
        except ForgeUnavailableError as error:
            LOG.warning("what %s may do is not known anew: %s", account.name, error)
            before = self._known.get(account, _Known(frozenset(), self._clock() - LASTS_S, 0))
            self._known[account] = _Known(before.scopes, before.asked, self._clock() + PAUSE_S)
            return
        now = self._clock()
        self._known[account] = _Known(scopes_of(permission, terms.least), now, now + FRESH_S)
