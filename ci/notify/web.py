"""Notices over HTTP as JSON with a signature, and the one place that sends HTTP requests of notices."""

from __future__ import annotations

import hashlib
import hmac
import json

import httpx

from ci.config.notify import WebhookNotify
from ci.errors import ChannelRefusedError, ChannelUnavailableError
from ci.notify.notice import Notice

TIMEOUT_S = 20.0
# A wrong address or a withdrawn one is mended by a person, and then the notice is still wanted.
_MENDABLE = (401, 403, 404, 408, 410, 425, 429)


class WebhookChannel:
    """Sends the notice as JSON.

    `X-Farm-Signature-256` is "sha256=" and the hexadecimal HMAC-SHA-256 of the body, as GitHub signs its own.
    """

    def __init__(self, section: WebhookNotify, timeout_s: float = TIMEOUT_S) -> None:
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
        await post(self._section.url.get_secret_value(), body, headers, self._timeout_s)


def signature(secret: str, body: bytes) -> str:
    """How a webhook's body is signed."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


async def post(url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> httpx.Response:
    """Send `body`. Raises `ChannelUnavailableError` or `ChannelRefusedError`.

    No error contains the address, which may be the password. Redirects are not followed.
    """
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
