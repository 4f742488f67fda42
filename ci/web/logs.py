"""A run's log, and what it has grown by: text, never markup, read piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from ci.api import files
from ci.api.access import Gate, GateHere
from ci.api.files import FilePath
from ci.api.runs import RunId
from ci.web.access import READER, Reader
from ci.web.pages import render
from farm.store import Store

router = APIRouter(prefix="/runs/{run_id}")

_PIECE = 256 << 10  # bytes at once


@router.get("/logs/{path:path}")
def log(request: Request, gate: GateHere, who: Reader, run_id: RunId, path: FilePath) -> HTMLResponse:
    """The end of a log; while the run goes on, what is added follows."""
    with _file(gate, run_id, path) as file:
        size = os.fstat(file).st_size
        begin = max(0, size - _PIECE)
        text = os.pread(file, size - begin, begin).decode(errors="replace")
    going = Store(gate.engine).outline(run_id).verdict is None
    return render(request, "log.html", who, run_id=run_id, name=path, text=text, size=size, begin=begin, live=going)


@router.get("/tail/{path:path}", dependencies=[READER])
def tail(
    gate: GateHere, run_id: RunId, path: FilePath, begin: Annotated[int, Query(alias="from", ge=0, le=1 << 50)]
) -> Response:
    """What the log has from a byte on."""
    over = Store(gate.engine).outline(run_id).verdict is not None  # asked first: the last words may come meanwhile
    with _file(gate, run_id, path) as file:
        found = os.pread(file, _PIECE, begin)
    whole = found if over else found[: _whole(found)]
    end = over and len(found) < _PIECE
    headers = {"X-Farm-Next": str(begin + len(whole)), "X-Farm-Over": "1" if end else "0"}
    return Response(whole.decode(errors="replace"), media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/files/{path:path}", dependencies=[READER])
def file(path: FilePath, opened: Annotated[int, Depends(files.artifact)]) -> FileResponse:
    """Any file of the run, as a download."""
    return files.get_artifact(path, opened)


def _whole(piece: bytes) -> int:
    """How much of a piece ends with a whole line, so that no character is cut in two; all of it where it has none."""
    return piece.rfind(b"\n") + 1 or (len(piece) if len(piece) == _PIECE else 0)


@contextmanager
def _file(gate: Gate, run_id: str, path: str) -> Iterator[int]:
    yield from files.opened(files.directory_of(gate, run_id), path)
