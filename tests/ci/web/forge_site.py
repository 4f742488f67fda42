"""A site that people sign in to with accounts of a forge, and that forge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import HttpUrl

from ci.forge.open import open_forges
from ci.server.app import create_app
from ci.webhook.inbox import Inbox
from tests.ci.configuration import signing_in
from tests.ci.web.site import Site, Visitor
from tests.fakes.gitea_api import GiteaApi
from tests.fakes.github_api import GitHubApi
from tests.fakes.served import served, taken

START = "/sign-in/github"
CALLBACK = f"{START}/callback"


class ForgeSite(Site):
    """`Site` with a forge behind it."""

    url: str
    api: GitHubApi | GiteaApi

    def sign_in(self, visitor: Visitor, login: str, permission: str, place: str = "/") -> httpx.Response:
        """Somebody with that permission signs in; the answer to their way back."""
        self.api.oauth.user = login
        self.api.permissions[login] = permission
        return visitor.get(self.way_back(visitor, place))

    def way_back(self, visitor: Visitor, place: str = "/") -> str:
        """Where the forge sends a browser that goes to it from the sign-in page."""
        left = visitor.get(START, params={"next": place})
        assert left.status_code == 303, left.text
        return httpx.get(left.headers["location"]).headers["location"]


@contextmanager
def forge_site(directory: Path, kind: str = "github", more: str = "") -> Iterator[ForgeSite]:
    """One, served; `more` is added to the configuration's `[forge.github.sign_in]`. Have `INSECURE` set."""
    api = GitHubApi() if kind == "github" else GiteaApi()
    listener = taken()
    with served(api.app()) as forge_url:
        site = ForgeSite(directory)
        site.api, site.url = api, f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = signing_in(directory, kind, forge_url, more)
        server = config.server.model_copy(update={"public_url": HttpUrl(site.url)})
        site.config = config.model_copy(update={"server": server})
        site.app = create_app(site.config, site.engine, Inbox(site.engine), open_forges(site.config))
        api.oauth.callback = f"{site.url}{CALLBACK}"
        with served(site.app, listener):
            yield site
        site.engine.dispose()
