"""The service's application over a store, and people who look at its pages."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import HttpUrl

from ci.server.app import create_app
from ci.store.states import Scope
from ci.webhook.inbox import Inbox
from tests.ci.api_client import Api
from tests.fakes.served import served


class Site(Api):
    """As `Api`, reached by http, so that a client sends the session's cookie."""

    def __init__(self, directory: Path, public_read: bool = False, url: str = "http://127.0.0.1") -> None:
        super().__init__(directory, public_read)
        server = self.config.server.model_copy(update={"public_url": HttpUrl(url)})
        web = self.config.web.model_copy(update={"sweeps": directory / "sweeps"})
        self.config = self.config.model_copy(update={"server": server, "web": web})
        self.app = create_app(self.config, self.engine, Inbox(self.engine))

    @contextmanager
    def visitor(self, *scopes: Scope) -> Iterator[Visitor]:
        """Somebody with a browser, signed in with a token of these scopes where there are any."""
        with served(self.app) as url, Visitor(url) as visitor:
            if scopes:
                visitor.sign_in(self.token(*scopes))
            yield visitor


class Visitor(httpx.Client):
    """A client that keeps cookies and sends forms as a page has them."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, timeout=30)

    def sign_in(self, token: str, place: str = "/") -> httpx.Response:
        """Fill in the form of the sign-in page."""
        page = self.get("/sign-in", params={"next": place})
        return self.post("/sign-in", data={"token": token, "next": value(page, "next"), "mark": value(page, "mark")})


def value(page: httpx.Response, name: str) -> str:
    """What a form's hidden field holds."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return html.unescape(found[1])
