"""Notices over HTTP: JSON with a signature for programs, a line of text for chats."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from ci.config.notify import ChatNotify, WebhookNotify
from ci.errors import ChannelRefusedError, ChannelUnavailableError
from ci.notify.notice import Notice

_TIMEOUT_S = 20.0
_LONGEST_TEXT = 1800  # characters; Discord takes 2000
# A wrong address or a withdrawn one is mended by a person, and then the notice is still wanted.
_MENDABLE = (401, 403, 404, 408, 410, 425, 429)

# What each chat calls the text of a message.
_MESSAGES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "slack": lambda text: {"text": text},
    "discord": lambda text: {"content": text, "allowed_mentions": {"parse": []}},
    "feishu": lambda text: {"msg_type": "text", "content": {"text": text}},
    "dingtalk": lambda text: {"msgtype": "text", "text": {"content": text}},
}


class WebhookChannel:
    """Sends the notice as JSON.

    `X-Farm-Signature-256` is "sha256=" and the hexadecimal HMAC-SHA-256 of the body, as GitHub signs its own.
    """

    def __init__(self, section: WebhookNotify, timeout_s: float = _TIMEOUT_S) -> None:
        self._section = section
        self._timeout_s = timeout_s

    async def tell(self, notice: Notice) -> None:
        """Send it."""
        body = json.dumps(notice.model_dump(mode="json"), ensure_ascii=False).encode()
        headers = {
            "X-Farm-Event": notice.event.value,
            "X-Farm-Delivery": notice.id,
            "X-Farm-Signature-256": signature(self._section.secret.get_secret_value(), body),
        }
        await _post(self._section.url.get_secret_value(), body, headers, self._timeout_s)


class ChatChannel:
    """Sends the notice's text."""

    def __init__(self, section: ChatNotify, timeout_s: float = _TIMEOUT_S) -> None:
        self._section = section
        self._timeout_s = timeout_s

    async def tell(self, notice: Notice) -> None:
        """Send it."""
        message = _MESSAGES[self._section.style](_defused(notice.text[:_LONGEST_TEXT], self._section.style))
        answer = await _post(self._section.url.get_secret_value(), json.dumps(message).encode(), {}, self._timeout_s)
        code = _own_code(answer)
        if code:
            raise ChannelUnavailableError(f"the chat answered with its code {code}")


def signature(secret: str, body: bytes) -> str:
    """How a webhook's body is signed."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _defused(text: str, style: str) -> str:
    """`text` in which nobody can call everybody: a branch may be named `<!channel>`."""
    if style == "slack":
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if style == "feishu":
        return text.replace("<", "＜").replace(">", "＞")  # `<at user_id="all">`
    return text


def _own_code(answer: httpx.Response) -> int:
    """The error code that Feishu and DingTalk put into an answer with status 200; 0 for none."""
    try:
        told = answer.json()
    except ValueError:  # Slack says "ok"
        return 0
    codes = [told.get(key) for key in ("code", "errcode")] if isinstance(told, dict) else []
    return next((code for code in codes if isinstance(code, int)), 0)


async def _post(url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> httpx.Response:
    """Send `body`. No error says the address: it may be the password. Redirects are not followed."""
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "npu-kernel-farm", **headers}
    try:
        async with httpx.AsyncClient(timeout=timeout_s) as client:
            answer = await client.post(url, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ChannelUnavailableError(type(error).__name__) from None
    status = answer.status_code
    if status in _MENDABLE or status >= 500:
        after = answer.headers.get("retry-after", "")
        raise ChannelUnavailableError(f"HTTP {status}", float(after) if after.isdecimal() else None)
    if not answer.is_success:
        raise ChannelRefusedError(f"HTTP {status}")
    return answer
