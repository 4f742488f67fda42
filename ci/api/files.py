"""The files of a run: its reports, traces and logs.

A kernel under test may have written there, so nothing in the directory is trusted: a path is opened one component at a
time and no symbolic link is followed, which also leaves no moment between looking and opening.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path as Directory
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.types import Message, Receive, Scope, Send

from ci.api.access import READER, ApiContext, GateHere
from ci.api.problems import RESPONSES, ApiError, answer
from ci.api.runs import RunId
from farm.errors import UnknownRunError
from farm.store.run_store import Store

router = APIRouter(prefix="/runs/{run_id}", tags=["runs"], dependencies=[READER])

_LOGS = "logs"
_MOST = 10_000  # files listed of one run
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
# A browser downloads the file. It is never shown as a page of this service.
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}

FilePath = Annotated[str, Path(max_length=1000, description="As the list has it.")]


class RunFile(BaseModel):
    """One file."""

    path: str
    size: int


@router.get("/artifacts", summary="List a run's files")
def list_artifacts(gate: GateHere, run_id: RunId) -> list[RunFile]:
    """Every file below the run's directory, by path."""
    return _listed(directory_of(gate, run_id), "")


@router.get("/logs", summary="List a run's logs")
def list_logs(gate: GateHere, run_id: RunId) -> list[RunFile]:
    """Every log of the run, by path."""
    return _listed(directory_of(gate, run_id), _LOGS)


def artifact(gate: GateHere, run_id: RunId, path: FilePath) -> Iterator[int]:
    """A dependency: the file, open for as long as the request takes."""
    yield from opened(directory_of(gate, run_id), path)


def _log(gate: GateHere, run_id: RunId, path: FilePath) -> Iterator[int]:
    yield from opened(directory_of(gate, run_id), f"{_LOGS}/{path}")


_RANGE: dict[int | str, dict[str, Any]] = {206: {"description": "The range that was asked for"}, 416: RESPONSES[416]}
_FILE = {**_RANGE, 200: {"content": {"application/octet-stream": {}}}}
_TEXT = {**_RANGE, 200: {"content": {"text/plain": {}}}}


@router.get("/artifacts/{path:path}", summary="One file", response_class=FileResponse, responses=_FILE)
def get_artifact(path: FilePath, file: Annotated[int, Depends(artifact)]) -> FileResponse:
    """The file; `Range` is understood."""
    return _ServedFile(file, path, "application/octet-stream")


@router.get("/logs/{path:path}", summary="One log", response_class=FileResponse, responses=_TEXT)
def get_log(path: FilePath, file: Annotated[int, Depends(_log)]) -> FileResponse:
    """The log as text; `Range` is understood."""
    return _ServedFile(file, path, "text/plain; charset=utf-8")


class _ServedFile(FileResponse):
    """An open file, and a refused range as a problem like all others."""

    def __init__(self, file: int, path: str, media_type: str) -> None:
        name = path.rpartition("/")[2]
        this = f"/proc/self/fd/{file}"  # this very file, whatever its name stands for by now
        super().__init__(this, filename=name, media_type=media_type, headers=_HEADERS, stat_result=os.fstat(file))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = 0

        async def told(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refused = message["status"]
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, told)
        if refused:
            problem = answer(refused, f"Range cannot be had of {self.headers['content-length']} bytes")
            await problem(scope, receive, send)


def directory_of(gate: ApiContext, run_id: str) -> Directory:
    """The run's directory. Raises `ApiError` where it is not here."""
    try:
        told = Store(gate.engine).outline(run_id).directory
    except UnknownRunError:
        raise ApiError(404, f"no run '{run_id}'") from None
    directory = Directory(told)
    if not told or not directory.is_absolute() or directory.name != run_id or not directory.is_dir():
        raise ApiError(404, f"the files of run '{run_id}' are not on this machine")
    return directory


def opened(directory: Directory, path: str) -> Iterator[int]:
    """`path` below `directory` as an open file, closed afterwards. Raises `ApiError`."""
    parts = path.split("/")
    missing = ApiError(404, "no such file of this run")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise missing
    held = []
    try:
        try:
            held.append(os.open(directory, _FLAGS | os.O_DIRECTORY))
            for part in parts[:-1]:
                held.append(os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=held[-1]))
            held.append(os.open(parts[-1], _FLAGS | os.O_NONBLOCK, dir_fd=held[-1]))  # a pipe must not hold us up
        except (OSError, UnicodeError):
            raise missing from None
        if not stat.S_ISREG(os.fstat(held[-1]).st_mode):
            raise missing
        yield held[-1]
    finally:
        for file in held:
            os.close(file)


def _listed(directory: Directory, below: str) -> list[RunFile]:
    found = []
    for place, _, names, handle in os.fwalk(directory / below):  # follows no symbolic link
        for name in names:
            known_as = os.stat(name, dir_fd=handle, follow_symlinks=False)
            path = Directory(place, name).relative_to(directory / below).as_posix()
            if stat.S_ISREG(known_as.st_mode) and path.isprintable():  # undecodable names are no text
                found.append(RunFile(path=path, size=known_as.st_size))
        if len(found) > _MOST:
            raise ApiError(409, f"the run has more than {_MOST} files; look at them on the machine itself")
    return sorted(found, key=lambda file: file.path)
