"""What runs in the process of a local run's device: jobs, called one after the other. Loads no Ray.

It answers with JSON, which the caller reads as data: the kernel's code runs here, and its word is no more than that.
"""

from __future__ import annotations

import dataclasses
import json
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from farm.leasing.device_jobs import DeviceJobs
from farm.leasing.device_lease import PlatformFactory
from kernel.platforms.protocol import Platform

STAGE, READY, RECORD = "stage", "ready", "record"  # keys of the answers


def load(factory: PlatformFactory, cache: Path) -> Platform:
    """Return a platform that is ready, for every process that is forked from this one. Loads no kernel."""
    platform = factory()
    platform.prepare(cache)
    return platform


def serve(connection: Connection, platform: Platform, cache: Path, index: int) -> None:
    """Run the canary on device `index`, then build and make trials as asked, until the connection is closed."""

    def note(stage: str) -> None:
        _answer(connection, STAGE, stage)

    jobs = DeviceJobs(platform, cache, index, note)
    told = dataclasses.replace(jobs.ready(), canary=jobs.ready().canary.model_dump())  # type: ignore[arg-type]
    _answer(connection, READY, dataclasses.asdict(told))
    while True:
        method, arguments = connection.recv()
        _answer(connection, RECORD, getattr(jobs, method)(*arguments).model_dump(mode="json"))


def answer_question(connection: Connection, platform: Platform, question: str, printed: str) -> None:
    """Answer one question to a kernel, whose file is `question`; what the kernel prints goes to `printed`."""
    from jobs.kernel_process import child

    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor, onto in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, onto)
    child.main(question)


def _answer(connection: Connection, key: str, value: Any) -> None:
    connection.send_bytes(json.dumps({key: value}).encode())
