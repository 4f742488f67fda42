"""Notices to chats: format, signature, and what counts as delivered."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from ci.config.notify import ChatNotify
from ci.config.settings import load
from ci.errors import ChannelUnavailableError, ConfigError
from ci.notify.chat import ChatChannel
from ci.store.states import Event
from tests.ci.configuration import ENVIRONMENT, TEXT
from tests.ci.notify.receiver import NOTICE, Receiver
from tests.fakes.chats import Chats
from tests.fakes.served import served

pytestmark = pytest.mark.service

SECRET = "SEC+a/secret=of the robot"  # with characters that an address has to escape
SIGNING = ["dingtalk", "feishu"]
OWN_CODES = [*SIGNING, "wecom"]  # chats that answer a refusal with status 200


def chat(url: str, style: str, secret: str = "", clock: Callable[[], float] = time.time) -> ChatChannel:
    told: dict[str, Any] = {"name": "c", "events": [Event.FAILED], "url": SecretStr(url), "style": style}
    told |= {"kind": "chat", "repositories": [], "secret": SecretStr(secret) if secret else None}
    return ChatChannel(ChatNotify.model_construct(**told), timeout_s=5, clock=clock)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Chats]]:
    chats = Chats()
    with served(chats.app()) as url:
        yield url, chats


@pytest.fixture
def chats(server: tuple[str, Chats]) -> Chats:
    server[1].secret = SECRET
    server[1].shown.clear()
    return server[1]


@pytest.fixture
def url(server: tuple[str, Chats]) -> str:
    return server[0]


@pytest.mark.parametrize("style", OWN_CODES)
def test_a_chat_that_checks_signatures_shows_title_reason_and_link(chats: Chats, url: str, style: str) -> None:
    secret = SECRET if style in SIGNING else ""
    asyncio.run(chat(chats.address(style, url), style, secret).tell(NOTICE))

    [shown] = chats.shown
    text = json.dumps(shown, ensure_ascii=False)
    assert all(part in text for part in (NOTICE.title, NOTICE.reason, NOTICE.url))


@pytest.mark.parametrize(("style", "code"), [("dingtalk", "310000"), ("feishu", "19021")])
@pytest.mark.parametrize(
    ("secret", "off_s"), [("", 0), ("another secret", 0), (SECRET, -7200), (SECRET, 7200)], ids=str
)
def test_a_wrong_secret_or_clock_is_reported_with_its_remedy(
    chats: Chats, url: str, style: str, code: str, secret: str, off_s: float
) -> None:
    channel = chat(chats.address(style, url), style, secret, lambda: time.time() + off_s)

    with pytest.raises(ChannelUnavailableError, match=f"{code}: check .*clock") as caught:
        asyncio.run(channel.tell(NOTICE))

    assert chats.shown == []
    words = str(caught.value)
    assert not [hidden for hidden in (chats.token, SECRET, secret or SECRET) if hidden in words]


@pytest.mark.parametrize("style", OWN_CODES)
def test_a_chat_without_signatures_takes_a_notice_without_a_secret(chats: Chats, url: str, style: str) -> None:
    chats.secret = ""

    asyncio.run(chat(chats.address(style, url), style).tell(NOTICE))

    assert len(chats.shown) == 1


@pytest.mark.parametrize("style", OWN_CODES)
def test_a_withdrawn_robot_has_not_taken_a_notice(chats: Chats, url: str, style: str) -> None:
    address = chats.address(style, url)
    chats.token, kept = "another-token-now", chats.token
    try:
        with pytest.raises(ChannelUnavailableError, match="error code"):
            asyncio.run(chat(address, style, SECRET if style in SIGNING else "").tell(NOTICE))
    finally:
        chats.token = kept


@pytest.mark.parametrize(
    ("style", "answer"),
    [
        ("dingtalk", '{"errcode": 130101, "errmsg": "send too fast"}'),
        ("dingtalk", '{"errmsg": "ok"}'),
        ("dingtalk", '{"errcode": "0"}'),
        ("dingtalk", '{"errcode": false}'),
        ("dingtalk", "<html>a proxy's page</html>"),
        ("dingtalk", "[0]"),
        ("feishu", '{"code": 0, "StatusCode": 19021}'),
        ("feishu", '{"code": 9499, "msg": "Bad Request"}'),
        ("feishu", '{"errcode": 0}'),
        ("wecom", '{"errcode": 45009}'),
        ("wecom", "ok"),
    ],
)
def test_an_answer_that_does_not_confirm_the_message_is_a_failure(receiver: Receiver, style: str, answer: str) -> None:
    receiver.answers = [PlainTextResponse(answer)]

    with pytest.raises(ChannelUnavailableError):
        asyncio.run(chat(receiver.url, style).tell(NOTICE))


def test_feishus_older_answer_confirms_the_message(receiver: Receiver) -> None:
    receiver.answers = [PlainTextResponse('{"StatusCode": 0, "StatusMessage": "success"}')]

    asyncio.run(chat(receiver.url, "feishu").tell(NOTICE))

    assert receiver.json()["card"]["header"]["template"] == "red"


@pytest.mark.parametrize(("style", "where"), [("slack", "text"), ("discord", "content")])
def test_a_plain_chat_gets_title_reason_and_link_as_text(receiver: Receiver, style: str, where: str) -> None:
    asyncio.run(chat(receiver.url, style).tell(NOTICE))

    found = receiver.json()[where]
    assert found.startswith("failed: octo-org/kernels pull/7\nq exceeds")
    assert found.endswith("https://farm.example.org/jobs/0123")


def test_a_branch_that_is_named_to_call_everybody_calls_nobody(chats: Chats, url: str, receiver: Receiver) -> None:
    chats.secret = ""
    words = "failed: <!channel> @everyone <at id=all> <@all> ![x](https://evil.example.org/x)"
    loud = NOTICE.model_copy(update={"title": words, "reason": words})
    for style in ("slack", "discord"):
        asyncio.run(chat(receiver.url, style).tell(loud))
    for style in OWN_CODES:
        asyncio.run(chat(chats.address(style, url), style).tell(loud))

    slack, discord = (json.loads(body) for _, body in receiver.got)
    dingtalk, feishu, wecom = chats.shown
    assert "<!channel>" not in slack["text"]
    assert discord["allowed_mentions"] == {"parse": []}
    assert not [mark for mark in ("<", "[", "]") if mark in dingtalk["title"] + dingtalk["text"]]
    assert {feishu["header"]["title"]["tag"], feishu["elements"][0]["text"]["tag"]} == {"plain_text"}
    assert "<" not in wecom["content"] and wecom["content"].count("](") == 1  # the link to the report


def test_a_long_reason_is_cut_to_the_chats_limit_and_keeps_its_link(chats: Chats, url: str) -> None:
    asyncio.run(chat(chats.address("wecom", url), "wecom").tell(NOTICE.model_copy(update={"reason": "误差" * 4000})))

    [shown] = chats.shown
    assert shown["content"].endswith(f"[Open the report]({NOTICE.url})")


def test_no_error_says_the_address_which_is_the_password() -> None:
    secret = "-".join(["never", "shown"])  # nor in this file, whose lines a traceback shows
    for style in ("slack", *OWN_CODES):
        with pytest.raises(ChannelUnavailableError) as caught:
            asyncio.run(chat(f"http://127.0.0.1:9/{secret}", style, secret if style in SIGNING else "").tell(NOTICE))

        assert secret not in "".join(traceback.format_exception(caught.value))


# farm.toml

SECTION = """
[[notify]]
name = "team"
kind = "chat"
events = ["failed"]
style = "dingtalk"
url = {{ env = "HOOK_URL" }}
secret = {{ env = "ROBOT" }}
"""


def configured(directory: Path, style: str, url: str, text: str = SECTION) -> ChatNotify:
    path = directory / "farm.toml"
    path.write_text(TEXT.format(api_url="https://api.github.com", at_once=0) + text.format().replace("dingtalk", style))
    [section] = load(path, {**ENVIRONMENT, "HOOK_URL": url, "ROBOT": SECRET}).notify
    assert isinstance(section, ChatNotify)
    return section


def test_the_secret_of_a_robot_is_read_and_hidden(tmp_path: Path) -> None:
    section = configured(tmp_path, "dingtalk", "https://oapi.dingtalk.com/robot/send?access_token=0123")

    assert {each.get_secret_value() for each in section.secrets()} >= {SECRET}
    assert SECRET not in repr(section)


@pytest.mark.parametrize(
    ("style", "url", "words"),
    [
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0123", "checks no signature"),
        ("slack", "https://hooks.slack.com/services/T0/0123", "checks no signature"),
        ("dingtalk", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0123", 'set style = "wecom"'),
        ("dingtalk", "https://open.larksuite.com/open-apis/bot/v2/hook/0123", 'set style = "feishu"'),
    ],
)
def test_a_style_that_does_not_fit_is_refused_with_its_remedy(tmp_path: Path, style: str, url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, style, url)

    assert words in str(caught.value)
    assert "0123" not in str(caught.value)
