"""The output of a job's runs, at once or as it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from ci.api.access import READER, GateHere
from ci.api.jobs import JobId, get_job
from ci.config import directories
from ci.store.states import UNDER_WAY

router = APIRouter(prefix="/jobs/{job_id}", tags=["jobs"], dependencies=[READER])

_PIECE_BYTES = 65_536
_LOOK_AGAIN_S = 1.0
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


@router.get("/log", summary="A job's log", response_class=StreamingResponse, responses=_TEXT)
def get_job_log(
    gate: GateHere,
    job_id: JobId,
    follow: Annotated[bool, Query(description="Go on until the job is over.")] = False,
    start: Annotated[int, Query(ge=0, le=1 << 40, description="Bytes to leave out.")] = 0,
) -> StreamingResponse:
    """What every run of the job has printed, as text; empty where none has run on this machine."""
    get_job(gate, job_id)  # 404 where there is none

    def over() -> bool:
        return get_job(gate, job_id).state not in UNDER_WAY

    written = _written(directories.job_log(job_id), start, over if follow else lambda: True)
    return StreamingResponse(written, media_type="text/plain; charset=utf-8", headers=_HEADERS)


async def _written(log: Path, at: int, over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log's bytes from `at` on, until `over` and all has been read."""
    while True:
        last = await asyncio.to_thread(over)  # first: what is written before it is over is read after
        while piece := await asyncio.to_thread(_piece, log, at):
            at += len(piece)
            yield piece
        if last:
            return
        await asyncio.sleep(_LOOK_AGAIN_S)


def _piece(log: Path, at: int) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(at)
            return file.read(_PIECE_BYTES)
    except FileNotFoundError:
        return b""
