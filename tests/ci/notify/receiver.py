"""A notice, and an HTTP server that keeps the notices it gets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ci.notify.notice import Notice
from ci.store.states import Event

NOTICE = Notice(
    id="0123-failed",
    event=Event.FAILED,
    at="2026-11-25T04:00:00.000+00:00",
    title="failed: octo-org/kernels pull/7",
    reason="q exceeds its tolerance: 1.2 % > 0.5 %",
    forge="github",
    repository="octo-org/kernels",
    subject="pull/7",
    head_sha="a" * 40,
    author="mona",
    job="0123",
    run="20261125-040000-abcdef",
    url="https://farm.example.org/jobs/0123",
)


@dataclass
class Receiver:
    """What a server got, and what it answers."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)  # the next ones, then "ok"

    async def take(self, request: Request) -> Response:
        """Keep one request."""
        self.got.append((dict(request.headers), await request.body()))
        return self.answers.pop(0) if self.answers else PlainTextResponse("ok")

    def json(self) -> Any:
        """The JSON of the last request."""
        return json.loads(self.got[-1][1])
