from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.protocol import Permission
from ci.store.states import Scope
from ci.web.auth import members
from ci.web.auth.members import FRESH_S, LASTS_S, Members, scopes_of
from ci.web.auth.session import Account
from tests.ci.configuration import signing_in

ANN = Account("github", "ann")
WRITER = {Scope.READ, Scope.SUBMIT}


class Forge:
    """Answers questions about permissions, or does not."""

    def __init__(self) -> None:
        self.permits: Permission | Exception = Permission.WRITE
        self.asked: list[tuple[str, str]] = []

    async def permission(self, repository: str, login: str) -> Permission:
        self.asked.append((repository, login))
        await asyncio.sleep(0)
        if isinstance(self.permits, Exception):
            raise self.permits
        return self.permits


class Desk:
    """`Members` over one forge, by a clock that stands."""

    def __init__(self, directory: Path) -> None:
        self.now = 10_000.0
        self.forge = Forge()
        config = signing_in(directory, "github", "https://github.example")
        self.members = Members(config, {"github": self.forge}, lambda: self.now)  # type: ignore[dict-item]

    def scopes(self, account: Account = ANN) -> set[Scope]:
        return set(asyncio.run(self.members.scopes(account)))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("least", ["read", "write"])
@pytest.mark.parametrize("permission", list(Permission))
def test_every_permission_leads_to_the_scopes_that_are_documented(permission: Permission, least: str) -> None:
    documented = {
        Permission.NONE: set(),
        Permission.READ: {Scope.READ} if least == "read" else set(),
        Permission.WRITE: WRITER,
        Permission.MAINTAIN: {*WRITER, Scope.ADMIN},
        Permission.ADMIN: {*WRITER, Scope.ADMIN},
    }

    assert scopes_of(permission, least) == documented[permission]


def test_the_forge_is_asked_again_only_after_a_while(desk: Desk) -> None:
    assert desk.scopes() == WRITER
    desk.forge.permits = Permission.NONE
    desk.now += FRESH_S - 1
    assert desk.scopes() == WRITER
    desk.now += 1

    assert desk.scopes() == set()
    assert desk.forge.asked == [("octo-org/kernels", "ann")] * 2


def test_many_pages_at_once_ask_once(desk: Desk) -> None:
    async def many() -> list[frozenset[Scope]]:
        return await asyncio.gather(*(desk.members.scopes(ANN) for _ in range(20)))

    assert set(asyncio.run(many())) == {frozenset(WRITER)}
    assert len(desk.forge.asked) == 1


def test_an_outage_leaves_an_hour_to_the_last_answer_and_asks_once_a_minute(desk: Desk) -> None:
    desk.scopes()
    desk.forge.permits = ForgeUnavailableError("away")
    desk.now += FRESH_S
    assert [desk.scopes() for _ in range(5)] == [WRITER] * 5
    assert len(desk.forge.asked) == 2
    desk.now += LASTS_S - FRESH_S

    with pytest.raises(ForgeUnavailableError, match="does not say what ann may do"):
        desk.scopes()
    desk.forge.permits = Permission.ADMIN
    desk.now += members.PAUSE_S
    assert Scope.ADMIN in desk.scopes()


def test_before_the_first_answer_an_outage_is_said(desk: Desk) -> None:
    desk.forge.permits = ForgeUnavailableError("away")

    for _ in range(3):
        with pytest.raises(ForgeUnavailableError):
            desk.scopes()
    assert len(desk.forge.asked) == 1


def test_an_account_that_is_gone_may_do_nothing(desk: Desk) -> None:
    desk.forge.permits = ForgeRefusedError(404, "no such user")

    assert desk.scopes() == set()


def test_who_signed_in_by_a_forge_that_is_not_configured_any_more_may_do_nothing(desk: Desk) -> None:
    assert desk.scopes(Account("codeberg", "ann")) == set()
    assert desk.forge.asked == []
