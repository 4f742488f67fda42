"""Debian's Chromium, for tests that look at a page as a reader's browser does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 120_000  # a busy machine with two cores draws a page in some ten seconds


@dataclass
class Seen:
    """What a page did besides showing itself."""

    complaints: list[str] = field(default_factory=list)  # console errors and warnings, uncaught exceptions
    requests: list[str] = field(default_factory=list)  # everything that was asked for, the page itself included
    dialogs: list[str] = field(default_factory=list)

    def dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Browser, path: Path, scheme: str = "light") -> tuple[Page, Seen]:
    """The page at `path` once its charts are drawn."""
    page = browser.new_page(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 1280, "height": 900}
    )
    page.set_default_timeout(PATIENCE_MS)
    seen = Seen()
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("dialog", seen.dismiss)
    page.goto(path.as_uri())
    page.locator("html[data-drawn=yes]").wait_for(state="attached")
    return page, seen


def until(page: Page, condition: str) -> None:
    """Wait for a JavaScript `condition`, which Playwright cannot where the page's policy forbids to evaluate text."""
    end_s = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end_s, f"{condition} did not come true"
        time.sleep(0.05)
