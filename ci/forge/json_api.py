"""The REST API of a forge that takes a token in a header: requests, errors and pages, the same for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.certificates import trusted
from ci.forge.rest import ForgeRest
from ci.forge.traffic import ForgeTraffic

_MAX_PAGES = 100
# A token that expired or lacks a right is replaced by a person, and then the message is still wanted.
_MENDABLE = (401, 403, 408, 429)


class JsonApi:
    """Sends requests to one forge, counts them, and waits where the forge asks for it.

    Every method raises `ForgeUnavailableError` or `ForgeRefusedError`.
    """

    def __init__(
        self, api_url: str, headers: Mapping[str, str], page_size: Mapping[str, str], timeout_s: float
    ) -> None:
        """`headers` hold the credential, `page_size` is the query that asks for long pages."""
        self._api_url = api_url.rstrip("/")
        self._headers = {"User-Agent": "npu-kernel-farm", **headers}
        self._page_size = page_size
        self._timeout_s = timeout_s
        self._rest = ForgeRest()
        self.traffic = ForgeTraffic()

    async def call(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
        """Return the JSON of the answer; None where it has no content."""
        response = await self._send(method, f"{self._api_url}{path}", body, query)
        return response.json() if response.content else None

    async def post_form(self, path: str, form: Mapping[str, str]) -> None:
        """Send a form, for what takes no JSON."""
        await self._send("POST", f"{self._api_url}{path}", None, None, form)

    async def pages(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Yield every entry of a list, over all pages."""
        url = f"{self._api_url}{path}"
        params: dict[str, str] | None = {**query, **self._page_size}
        for _ in range(_MAX_PAGES):
            response = await self._send("GET", url, None, params)
            for each in response.json():
                yield each
            following = response.links.get("next")
            if not following:
                return
            url, params = following["url"], None

    async def numbered_pages(self, path: str, query: Mapping[str, str], size: int) -> AsyncIterator[dict[str, Any]]:
        """Yield every entry of a list whose pages have numbers and no links; a page of less than `size` is the last."""
        for number in range(1, _MAX_PAGES + 1):
            params = {**query, "page": str(number), "per_page": str(size)}
            entries = (await self._send("GET", f"{self._api_url}{path}", None, params)).json()
            for each in entries:
                yield each
            if len(entries) < size:
                return

    async def _send(
        self,
        method: str,
        url: str,
        body: Any,
        query: dict[str, str] | None,
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        doing = f"{method} {httpx.URL(url).path}"
        self._rest.require_over(doing)
        try:
            async with httpx.AsyncClient(timeout=self._timeout_s, verify=trusted()) as client:
                response = await client.request(method, url, json=body, data=form, params=query, headers=self._headers)
        except httpx.HTTPError as error:
            self.traffic.unanswered()
            raise ForgeUnavailableError(f"{doing}: {type(error).__name__}") from error
        status = response.status_code
        self.traffic.answered(status, response.headers)
        if status in _MENDABLE or status >= 500:
            after = response.headers.get("retry-after", "")
            away = ForgeUnavailableError(f"{doing}: HTTP {status}", float(after) if after.isdecimal() else None)
            self._rest.note(away)
            raise away
        if not response.is_success:
            raise ForgeRefusedError(status, f"{doing}: refused")
        return response
