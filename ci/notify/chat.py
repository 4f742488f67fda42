"""Notices to chats by their incoming webhooks, signed where the chat checks signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from ci.config.notify import ChatNotify
from ci.errors import ChannelUnavailableError
from ci.notify.chat_messages import message
from ci.notify.notice import Notice
from ci.notify.web import TIMEOUT_S, post

# These chats answer a refused message with status 200 and an error code. Every field of theirs that is there must be 0,
# and one must be: an answer without any is not the chat's. Feishu has sent both of its names.
_CODES: Mapping[str, tuple[str, ...]] = {
    "feishu": ("code", "StatusCode"),
    "dingtalk": ("errcode",),
    "wecom": ("errcode",),
}
# From the chats' lists of error codes; what is not here is reported by its number.
_REMEDIES = {
    (
        "dingtalk",
        310000,
    ): "check the robot's security settings: secret, keyword, address, and the clock of this machine",
    ("feishu", 19021): "check the secret and the clock of this machine",
    ("feishu", 19022): "add this machine's address to the bot's IP allowlist",
    ("feishu", 19024): "add a keyword that every notice has, or use a signature instead",
    ("wecom", 93000): "check the webhook's address",
}


class ChatChannel:
    """Sends the notice's title, reason and link."""

    def __init__(
        self, section: ChatNotify, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` returns seconds since 1970; the chats accept signatures of the last hour."""
        self._section = section
        self._timeout_s = timeout_s
        self._clock = clock

    async def tell(self, notice: Notice) -> None:
        """Send it."""
        url = self._section.url.get_secret_value()
        told = message(self._section.style, notice)
        if self._section.secret is not None:
            url, told = _SIGNERS[self._section.style](url, told, self._section.secret.get_secret_value(), self._clock())
        answer = await post(url, json.dumps(told).encode(), {}, self._timeout_s)
        _require_success(self._section.style, answer)


def _signed_for_dingtalk(url: str, told: dict[str, Any], secret: str, now_s: float) -> tuple[str, dict[str, Any]]:
    """Sign in the address: milliseconds, and the HMAC with the secret as its key of those and the secret."""
    timestamp = str(round(now_s * 1000))
    mac = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    query = urlencode({"timestamp": timestamp, "sign": base64.b64encode(mac).decode()})
    return f"{url}{'&' if '?' in url else '?'}{query}", told


def _signed_for_feishu(url: str, told: dict[str, Any], secret: str, now_s: float) -> tuple[str, dict[str, Any]]:
    """Sign in the body: seconds, and the HMAC of an empty message with those and the secret as its key."""
    timestamp = str(int(now_s))
    mac = hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return url, {"timestamp": timestamp, "sign": base64.b64encode(mac).decode(), **told}


_SIGNERS = {"dingtalk": _signed_for_dingtalk, "feishu": _signed_for_feishu}


def _require_success(style: str, answer: httpx.Response) -> None:
    """Raise `ChannelUnavailableError` unless the chat's own code says that it took the message.

    A wrong secret or keyword is corrected by a person, and then the notice is still wanted: so it is sent again. The
    chat's own words are not repeated, since they may hold parts of the address.
    """
    names = _CODES.get(style)
    if names is None:  # Slack and Discord say it by their status
        return
    try:
        body = answer.json()
    except ValueError:
        body = None
    codes = [body[name] for name in names if name in body] if isinstance(body, dict) else []
    if not codes:
        raise ChannelUnavailableError(f"the answer has no {' or '.join(names)}; check that the address is {style}'s")
    for code in codes:
        if type(code) is not int:
            raise ChannelUnavailableError(f"the answer's {' or '.join(names)} is no number")
        if code != 0:
            remedy = _REMEDIES.get((style, code))
            raise ChannelUnavailableError(
                f"{style} answered with error code {code}" + (f": {remedy}" if remedy else "")
            )
