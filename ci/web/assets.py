"""Style sheets and scripts, all from this machine: our own, the report's, and plotly.js."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request, Response

from farm.report.html.page import PLOTLY, text_of

router = APIRouter(prefix="/assets")

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_OF_REPORTS = {"plotly.js": PLOTLY, "report.js": "report.js"}


@functools.cache
def address(name: str) -> str:
    """Where a page finds an asset; the address changes with the content, so browsers may keep what they have."""
    return f"/assets/{name}?{hashlib.sha256(_content(name)).hexdigest()[:12]}"


@router.get("/{name}")
def asset(request: Request, name: Annotated[str, Path(pattern=r"^[a-z]+\.(css|js|svg)$")]) -> Response:
    """Return one file, compressed for browsers that accept that: the charts' script is 1.2 MB."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    try:
        squeezed = "gzip" in request.headers.get("accept-encoding", "")
        content = _squeezed(name) if squeezed else _content(name)
    except FileNotFoundError:
        raise HTTPException(404, "no such asset") from None
    if squeezed:
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])


@functools.cache
def _squeezed(name: str) -> bytes:
    return gzip.compress(_content(name), 6)


def _content(name: str) -> bytes:
    if name in _OF_REPORTS:
        return text_of(_OF_REPORTS[name]).encode()
    return (files("ci.web") / "static" / name).read_bytes()
