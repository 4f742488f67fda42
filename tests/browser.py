"""Debian's Chromium, driven as a person would, and what a page did besides showing itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Response, sync_playwright

from tests import waiting

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 120_000  # a busy machine with two cores draws a page in some ten seconds

Scheme = Literal["light", "dark"]
COLOURS = ("color-contrast", "link-in-text-block")  # the rules of axe-core whose answer light and dark can change
AXE = Axe().axe_script
_VIOLATIONS = """options => axe.run(document, options).then(found => found.violations.map(
    each => ({ id: each.id, nodes: each.nodes.map(node => node.html) })))"""
_PAINTED = """[...document.querySelectorAll('[data-chart] .xtick text')].every(
    each => getComputedStyle(each).fill === getComputedStyle(document.body).color)"""


@dataclass
class Tab:
    """One page of the browser."""

    page: Page
    url: str  # of the service, or of the file
    complaints: list[str] = field(default_factory=list)  # console errors and warnings, uncaught exceptions, dialogs
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # everything that was asked for, the page itself included

    @property
    def elsewhere(self) -> list[str]:
        """Requests that went to anybody but the service."""
        return [asked for asked in self.requests if not asked.startswith((f"{self.url}/", "data:", "blob:"))]

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

    def drawn(self) -> None:
        """Wait for the charts of the page, where it has any."""
        if self.page.locator("script[data-figure]").count():  # a report's
            self.page.locator("html[data-drawn=yes]").wait_for(state="attached")
        if self.page.locator("[data-chart]").count():
            self.page.locator("[data-chart] svg.main-svg").first.wait_for()

    def turn(self, scheme: Scheme) -> None:
        """Have the page as it is now shown light or dark, and wait for its charts to follow."""
        self.page.emulate_media(color_scheme=scheme)
        until(self.page, _PAINTED)

    def unfair(self, *rules: str) -> list[str]:
        """What axe-core's accessibility rules have against the page as it is now: all of them, or those named."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(AXE)
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found = self.page.evaluate(_VIOLATIONS, options)
        return [f"{each['id']}: {[html[:200] for html in each['nodes']][:3]}" for each in found]

    def _said(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.complaints.append(line.text)

    def _asked(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def listen(self) -> None:
        """Note what the page does from now on."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._asked)
        self.page.on("request", lambda request: self.requests.append(request.url))


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
def tab(browser: Browser, url: str, scheme: Scheme = "light", scripts: bool = True) -> Iterator[Tab]:
    """A fresh profile with one page, for the service at `url`."""
    opened = _fresh(browser, url, scheme, scripts)
    try:
        yield opened
    finally:
        opened.page.context.close()


def opened(browser: Browser, path: Path, scheme: Scheme = "light") -> Tab:
    """A file from disk, once its charts are drawn; open for as long as the browser."""
    shown = _fresh(browser, path.as_uri(), scheme, scripts=True)
    shown.go("")
    shown.drawn()
    return shown


def _fresh(browser: Browser, url: str, scheme: Scheme, scripts: bool) -> Tab:
    size = {"width": 1280, "height": 900}
    context = browser.new_context(color_scheme=scheme, viewport=size, java_script_enabled=scripts)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    made = Tab(context.new_page(), url)
    made.listen()
    return made


def until(page: Page, condition: str) -> None:
    """Wait for a JavaScript `condition`, which Playwright cannot where the page's policy forbids to evaluate text."""
    waiting.until(lambda: page.evaluate(condition), PATIENCE_MS / 1000, condition)
