"""What every forge's sign-in must do, held over real HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ci.config.forge import INSECURE
from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.accounts import Accounts, open_accounts
from tests.ci.configuration import signing_in
from tests.fakes.gitea_api import GiteaApi
from tests.fakes.github_api import Fault, GitHubApi
from tests.fakes.oauth import CLIENT_SECRET
from tests.fakes.served import served

pytestmark = pytest.mark.service

CALLBACK = "https://farm.example.org/sign-in/github/callback"
VERIFIER = "v" * 43


@dataclass
class Side:
    accounts: Accounts
    api: GitHubApi | GiteaApi

    def come_back(self) -> dict[str, str]:
        """What the forge sends a browser back with."""
        answer = httpx.get(self.accounts.address(CALLBACK, "the state", VERIFIER))
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == CALLBACK
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    def login(self, code: str, verifier: str = VERIFIER) -> str:
        return asyncio.run(self.accounts.login(CALLBACK, code, verifier))


@pytest.fixture(params=["github", "gitea"])
def side(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    monkeypatch.setenv(INSECURE, "1")
    api = GitHubApi() if request.param == "github" else GiteaApi()
    api.oauth.callback, api.oauth.user = CALLBACK, "ann"
    with served(api.app()) as url:
        [accounts] = open_accounts(signing_in(tmp_path, request.param, url)).values()
        yield Side(replace(accounts, timeout_s=5), api)
    assert api.problems == []


def test_a_code_leads_to_the_login_it_was_given_to(side: Side) -> None:
    back = side.come_back()

    assert back["state"] == "the state"
    assert side.login(back["code"]) == "ann"


def test_a_token_is_asked_for_that_is_good_for_the_login_alone(side: Side) -> None:
    side.come_back()

    assert side.api.oauth.scopes == ["read:user" if isinstance(side.api, GiteaApi) else ""]


def test_a_code_is_good_once(side: Side) -> None:
    code = side.come_back()["code"]
    side.login(code)

    with pytest.raises(ForgeRefusedError, match="bad_verification_code"):
        side.login(code)


def test_a_code_is_good_only_for_whoever_began(side: Side) -> None:
    with pytest.raises(ForgeRefusedError):
        side.login(side.come_back()["code"], "w" * 43)


def test_somebody_who_declines_is_sent_back_with_an_error(side: Side) -> None:
    side.api.oauth.user = ""

    assert side.come_back()["error"] == "access_denied"


def test_an_outage_is_told_from_a_refusal(side: Side) -> None:
    code = side.come_back()["code"]
    side.api.oauth.down = True
    with pytest.raises(ForgeUnavailableError):
        side.login(code)
    side.api.oauth.down = False
    side.api.faults.append(Fault(500))

    with pytest.raises(ForgeUnavailableError, match="whose token"):
        side.login(code)


@pytest.mark.parametrize(
    "answer", ["<html>", "[]", '{"token_type": "bearer"}', '{"access_token": 5, "expires_in": "x"}']
)
def test_an_answer_that_is_not_the_protocols_is_said_to_be_none(
    side: Side, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def post(self: httpx.AsyncClient, url: str, **_: object) -> httpx.Response:
        return httpx.Response(200, text=answer)

    monkeypatch.setattr(httpx.AsyncClient, "post", post)

    with pytest.raises((ForgeRefusedError, ForgeUnavailableError)):
        side.login("code")


@pytest.mark.parametrize("login", ["", "../admin", "a b", "ann/../../x", "x" * 200])
def test_a_login_that_no_forge_has_is_refused(side: Side, login: str) -> None:
    code = side.come_back()["code"]
    side.api.oauth.logins[code] = login

    with pytest.raises(ForgeUnavailableError, match="no login"):
        side.login(code)


def test_no_error_and_no_line_of_the_log_holds_a_secret(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    code = side.come_back()["code"]
    side.login(code)
    with pytest.raises(ForgeRefusedError) as caught:
        side.login(code)

    told = f"{caught.value!r} {side.accounts!r} {caplog.text}"
    [token] = side.api.oauth.tokens
    assert not [each for each in (CLIENT_SECRET, token, VERIFIER) if each in told]
