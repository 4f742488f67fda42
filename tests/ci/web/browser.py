"""Debian's Chromium, driven as a person would, and what it had to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, sync_playwright

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 120_000  # a busy machine with two cores


@dataclass
class Tab:
    """One page of the browser."""

    page: Page
    url: str  # of the service
    complaints: list[str] = field(default_factory=list)  # console errors and warnings, uncaught exceptions, dialogs
    elsewhere: list[str] = field(default_factory=list)  # requests that went to anybody but the service

    def go(self, path: str) -> Response:
        """Open a page of the service."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        return answer

    def sign_in(self, token: str) -> None:
        """Fill in the form."""
        self.go("/sign-in")
        self.page.get_by_label("Token of the API").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def unfair(self) -> list[str]:
        """What axe-core's accessibility rules have against the page as it is now."""
        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']][:3]}" for each in found]


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, scheme: Literal["light", "dark"] = "light", scripts: bool = True) -> Iterator[Tab]:
    """A fresh profile with one page."""
    size = {"width": 1280, "height": 900}
    context = browser.new_context(color_scheme=scheme, viewport=size, java_script_enabled=scripts)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    opened = Tab(context.new_page(), url)
    said = opened.complaints
    opened.page.on("console", lambda line: said.append(line.text) if line.type in ("error", "warning") else None)
    opened.page.on("pageerror", lambda error: said.append(str(error)))
    opened.page.on("dialog", lambda dialog: said.append(dialog.message))
    opened.page.on("dialog", lambda dialog: dialog.dismiss())
    opened.page.on("request", lambda asked: None if _own(asked.url, url) else opened.elsewhere.append(asked.url))
    try:
        yield opened
    finally:
        context.close()


def _own(asked: str, url: str) -> bool:
    return asked.startswith((f"{url}/", "data:", "blob:"))
