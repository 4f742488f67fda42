"""Templates: every value is escaped unless a template says otherwise, and none does."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from ci.web import assets
from ci.web.auth.access import Viewer
from ci.web.auth.session import Sessions
from ci.web.live import Drawn
from farm.report.html import words
from farm.report.html.page import furnish
from farm.text import microseconds, one_line, ordinal, share, signed_share
from farm.timestamps import moment

NAVIGATION = (
    ("/", "Now"),
    ("/jobs", "Jobs"),
    ("/runs", "Runs"),
    ("/kernels", "Kernels"),
    ("/devices", "Devices"),
    ("/nights", "Nights"),
    ("/compare", "Compare"),
    ("/suites", "Suites"),
)
SIGN = {  # nothing is said by colour alone
    "passed": "✓",
    "failed": "✗",
    "errored": "!",
    "running": "▶",
    "unfinished": "…",
    "inconclusive": "?",
    "not-applicable": "–",
    "healthy": "✓",
    "suspect": "?",
    "quarantined": "✗",
    "queued": "…",
    "held": "‖",
    "cancelling": "▶",
    "cancelled": "–",
    "done": "✓",
    "ok": "✓",
}


def render(request: Request, template: str, who: Viewer, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of `templates/` for `who`."""
    sessions: Sessions = request.app.state.sessions
    shown = {"who": who, "mark": sessions.mark(who.session), "path": request.url.path, **values}
    text = _ENVIRONMENTS[language_of(request)].get_template(template).render(shown)
    return HTMLResponse(text, status, {"Vary": "Accept-Language"})


def drawn(template: str, language: str, over: bool = False, **values: Any) -> Drawn:
    """A part of a page as it is now; `over`: it will not move any more. Its language alone depends on its reader."""
    text = _ENVIRONMENTS[language].get_template(template).render(values)
    return Drawn(hashlib.sha256(text.encode()).hexdigest()[:32], text, over)


def _line(value: object) -> str:
    """Text from outside on one line, without characters that turn it around or hide."""
    return one_line(str(value))


def _moment(text: str | None) -> str:
    """A time of the store as people read it; "–" where there is none."""
    return f"{moment(text).astimezone(datetime.timezone.utc):%Y-%m-%d %H:%M:%S}" if text else "–"


def _span(seconds: float | None) -> str:
    """A duration as a person says it."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def query(values: Mapping[str, object], **changes: object) -> str:
    """A query string of what is set."""
    merged = {**values, **changes}
    return urlencode({name: str(value) for name, value in merged.items() if value not in (None, "")})


def _size(count: int) -> str:
    """A file's size."""
    return f"{count} B" if count < 1024 else f"{count / 1024:,.0f} KiB"


def language_of(request: Request) -> str:
    """Return the language of what a browser gets: `FARM_LANG`'s, else the one that it prefers."""
    return words.language(request.headers.get("accept-language", ""))


def _environment(language: str) -> Environment:
    made = Environment(
        loader=ChoiceLoader([PackageLoader("ci.web"), PackageLoader("farm.report")]),  # a run's page has report parts
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    furnish(made)
    made.globals.update(asset=assets.address, nav=NAVIGATION)
    made.filters.update(
        line=_line,
        moment=_moment,
        span=_span,
        query=query,
        us=microseconds,
        share=share,
        signed=signed_share,
        size=_size,
        ordinal=ordinal,
        sign=lambda word: SIGN.get(word, ""),
    )
    words.localize(made, language)
    return made


_ENVIRONMENTS = {language: _environment(language) for language in words.LANGUAGES}
