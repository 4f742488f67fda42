"""Notices by Apprise itself, to a server on this machine: what arrives, and what is tried again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from ci.config.notify import AppriseNotify
from ci.config.settings import load
from ci.errors import ChannelUnavailableError, ConfigError
from ci.notify.apprise_channel import AppriseChannel
from ci.notify.open import open_channels
from ci.store.states import Event
from tests.ci.configuration import ENVIRONMENT, TEXT
from tests.ci.notify.receiver import NOTICE, Receiver

pytestmark = pytest.mark.service

SECRET = "a-password-in-an-address"
CONFIGURED = TEXT.format(api_url="https://api.github.com", at_once=0) + (
    '\n[[notify]]\nname = "rest"\nkind = "apprise"\nevents = ["failed"]\nurl = { env = "APPRISE_URL" }\n'
)


def channel(url: str, timeout_s: float = 5) -> AppriseChannel:
    told: dict[str, Any] = {"name": "rest", "events": [Event.FAILED], "url": SecretStr(url), "kind": "apprise"}
    return AppriseChannel(AppriseNotify.model_construct(**told, repositories=[]), timeout_s)


def address(receiver: Receiver) -> str:
    """Of Apprise's own kind for a server that takes JSON."""
    return f"{receiver.url.replace('http://', f'json://farm:{SECRET}@')}"


def test_a_notice_arrives_with_title_reason_and_link(receiver: Receiver) -> None:
    asyncio.run(channel(address(receiver)).tell(NOTICE))

    told = receiver.json()
    assert told["title"] == NOTICE.title
    assert told["message"] == f"{NOTICE.reason}\n{NOTICE.url}"


def test_what_was_not_sent_is_tried_again_and_shows_no_password(receiver: Receiver) -> None:
    receiver.answers = [PlainTextResponse("no", 500)]
    for url in (address(receiver), f"nonsense://{SECRET}"):
        with pytest.raises(ChannelUnavailableError) as caught:
            asyncio.run(channel(url).tell(NOTICE))
        assert SECRET not in f"{caught.value} {caught.value!r}"


def test_it_is_a_channel_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(CONFIGURED)
    config = load(path, {**ENVIRONMENT, "APPRISE_URL": f"json://{SECRET}@chat.example.org"})

    assert isinstance(open_channels(config)["notify/rest"], AppriseChannel)
    assert SECRET not in repr(config)


def test_without_its_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    path = tmp_path / "farm.toml"
    path.write_text(CONFIGURED)

    with pytest.raises(ConfigError, match="extra 'notify'"):
        load(path, {**ENVIRONMENT, "APPRISE_URL": f"json://{SECRET}@chat.example.org"})


def test_an_address_without_a_service_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(CONFIGURED)

    with pytest.raises(ConfigError, match="begins with a service"):
        load(path, {**ENVIRONMENT, "APPRISE_URL": SECRET})
