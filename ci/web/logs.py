"""Logs of runs and of jobs, and what they have grown by: text, never markup, read piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from ci.api import files
from ci.api.access import ApiContext, GateHere
from ci.api.files import FilePath
from ci.api.job_logs import get_job_log
from ci.api.jobs import JobId, get_job
from ci.api.runs import RunId
from ci.config import directories
from ci.store.states import UNDER_WAY
from ci.web.auth.access import READER, Reader, Viewer
from ci.web.pages import render
from farm.store.run_store import Store

router = APIRouter()

PIECE_BYTES = 256 << 10  # bytes at once
_SHORT_BYTES = 4 << 10  # on the page of a job


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a page of a log leads."""

    back: str  # what the log is of
    raw: str  # the whole log
    tail: str  # what it has grown by


@dataclass(frozen=True, slots=True)
class LogEnding:
    """The last part of a log."""

    text: str
    size: int  # bytes of the whole log
    begin: int  # byte that `text` begins at


Begin = Annotated[int, Query(alias="from", ge=0, le=1 << 50)]


@router.get("/runs/{run_id}/logs/{path:path}")
def log(request: Request, gate: GateHere, who: Reader, run_id: RunId, path: FilePath) -> HTMLResponse:
    """The end of a run's log; while the run goes on, what is added follows."""
    live = Store(gate.engine).outline(run_id).verdict is None
    place, name = f"/runs/{run_id}", quote(path)
    addresses = Addresses(back=place, raw=f"{place}/files/{name}", tail=f"{place}/tail/{name}")
    with _file(gate, run_id, path) as file:
        return _page(request, who, path, f"Run {run_id}", addresses, file, live)


@router.get("/runs/{run_id}/tail/{path:path}", dependencies=[READER])
def tail(gate: GateHere, run_id: RunId, path: FilePath, begin: Begin) -> Response:
    """What the log has from a byte on."""
    over = Store(gate.engine).outline(run_id).verdict is not None  # asked first: the last words may come meanwhile
    with _file(gate, run_id, path) as file:
        return _grown(file, begin, over)


@router.get("/runs/{run_id}/files/{path:path}", dependencies=[READER])
def file(path: FilePath, opened: Annotated[int, Depends(files.artifact)]) -> FileResponse:
    """Any file of the run, as a download."""
    return files.get_artifact(path, opened)


@router.get("/jobs/{job_id}/log")
def job_log(request: Request, gate: GateHere, who: Reader, job_id: JobId) -> HTMLResponse:
    """The end of what the job's runs have printed; until the job is over, what is added follows."""
    job = get_job(gate, job_id)
    place = f"/jobs/{job_id}"
    addresses = Addresses(back=place, raw=f"{place}/log/raw", tail=f"{place}/log/tail")
    with _job_file(job_id) as file:
        return _page(request, who, f"Log of {job.subject}", job.subject, addresses, file, job.state in UNDER_WAY)


@router.get("/jobs/{job_id}/log/tail", dependencies=[READER])
def job_tail(gate: GateHere, job_id: JobId, begin: Begin) -> Response:
    """What the log has from a byte on."""
    over = get_job(gate, job_id).state not in UNDER_WAY  # asked first, as above
    with _job_file(job_id) as file:
        return _grown(file, begin, over)


@router.get("/jobs/{job_id}/log/raw", dependencies=[READER])
def job_raw(gate: GateHere, job_id: JobId) -> StreamingResponse:
    """The whole log as plain text, as the API has it."""
    return get_job_log(gate, job_id)


def _page(
    request: Request, who: Viewer, name: str, of: str, addresses: Addresses, file: int | None, live: bool
) -> HTMLResponse:
    shown: dict[str, Any] = {"name": name, "of": of, "to": addresses, "live": live}
    return render(request, "log.html", who, **shown, log=_ending(file, PIECE_BYTES))


def ending_of_job(job_id: str) -> LogEnding:
    """The last lines of what a job's runs have printed."""
    with _job_file(job_id) as file:
        return _ending(file, _SHORT_BYTES)


def _ending(file: int | None, most: int) -> LogEnding:
    size = os.fstat(file).st_size if file is not None else 0
    begin = max(0, size - most)
    text = os.pread(file, size - begin, begin).decode(errors="replace") if file is not None else ""
    return LogEnding(text, size, begin)


def _grown(file: int | None, begin: int, over: bool) -> Response:
    """What a log has from `begin` on, in whole lines until it is `over`."""
    found = os.pread(file, PIECE_BYTES, begin) if file is not None else b""
    whole = found if over else found[: _whole(found)]
    end = over and len(found) < PIECE_BYTES
    headers = {"X-Farm-Next": str(begin + len(whole)), "X-Farm-Over": "1" if end else "0"}
    return Response(whole.decode(errors="replace"), media_type="text/plain; charset=utf-8", headers=headers)


def _whole(piece: bytes) -> int:
    """How much of a piece ends with a whole line, so that no character is cut in two; all of it where it has none."""
    return piece.rfind(b"\n") + 1 or (len(piece) if len(piece) == PIECE_BYTES else 0)


@contextmanager
def _file(gate: ApiContext, run_id: str, path: str) -> Iterator[int]:
    yield from files.opened(files.directory_of(gate, run_id), path)


@contextmanager
def _job_file(job_id: str) -> Iterator[int | None]:
    """The log of a job, which the service itself writes; None before its first run, or where it ran elsewhere."""
    try:
        file = directories.job_log(job_id).open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file.fileno()
