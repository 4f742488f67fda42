"""One device of this machine without a lease, for a person who writes a kernel: its processes, kept warm between runs.

Every process is a fork of one that has torch and the platform loaded and has run no kernel (`jobs.warm`). The next
worker is started and runs its canary while nobody waits for it. Loads no Ray.
"""

from __future__ import annotations

import functools
import json
import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from multiprocessing import connection as connections
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from farm.errors import InfrastructureError
from farm.leasing import local_worker
from farm.leasing.device_lease import PlatformFactory, WorkerLostError
from farm.model.run import DeviceRecord
from farm.process import start_limit
from farm.process.start_limit import HostLoad, HostOverloadedError
from jobs.kernel_process.messages import KernelAnswer, KernelQuestion
from jobs.records import ProbeRecord
from jobs.warm.client import WarmProcess, WarmProcessError, WarmServer
from kernel.errors import KernelLoadError
from kernel.platforms.protocol import Platform

NODE = "local"
INDEX = 0
_LOOK_S = 0.05
_MOST_PRINTED_BYTES = 16 << 20
_MOST_ANSWER_BYTES = 64 << 20
_LOADED = ["farm.leasing.local_worker", "jobs.kernel_process.child", "jobs.kernel_process.messages", "jobs.reference"]


class LocalWorker:
    """One process on the device. Calls are made one after the other."""

    def __init__(self, process: WarmProcess) -> None:
        self._process = process
        self._ended: int | None = None
        self.stage = "canary"

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, method: str, *arguments: Any) -> None:
        """Begin to call `method` of `DeviceJobs`; `answer` has the result."""
        try:
            self._process.connection.send((method, arguments))
        except OSError:
            return  # it has died; `answer` says so

    def answer(self, key: str, timeout_s: float) -> Any:
        """The next answer of kind `key`; None where there is none within `timeout_s`. Raises `WorkerLostError`."""
        deadline = time.monotonic() + timeout_s
        while self._ended is None and connections.wait([self._process.connection], max(0, deadline - time.monotonic())):
            try:
                told = json.loads(self._process.connection.recv_bytes(_MOST_ANSWER_BYTES))
            except (EOFError, OSError):
                self.end()
            except ValueError as error:
                raise WorkerLostError("WorkerCrashedError", f"the worker's answer cannot be read: {error}") from error
            else:
                if key in told:
                    return told[key]
                self.stage = str(told.get(local_worker.STAGE, self.stage))
        if self._ended is not None:
            raise WorkerLostError("WorkerCrashedError", f"the process exits with an exit code {_shell(self._ended)}")
        return None

    def end(self) -> None:
        """End the process. Safe to call twice."""
        if self._ended is None:
            self._ended = self._process.end()


class LocalDevice:
    """Use as a context manager: at its end every process is gone."""

    def __init__(self, factory: PlatformFactory, platform: Platform, cache: Path, *, again: bool = False) -> None:
        """`factory` makes `platform` again in every process. With `again` another run follows each one."""
        self._platform = platform
        self._cache = cache
        self._again = again
        self._scratch = tempfile.TemporaryDirectory(prefix="farm-local-")
        log = Path(self._scratch.name) / "printed"
        self._server = WarmServer(_LOADED, functools.partial(local_worker.load, factory, cache), log)
        self._spare: LocalWorker | None = None

    def __enter__(self) -> LocalDevice:
        """Begin to load."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End every process."""
        if self._spare is not None:
            self._spare.end()
        self._server.stop()
        self._scratch.cleanup()

    def prepare(self) -> None:
        """Begin to start the next worker, where another run follows. Raises `InfrastructureError`."""
        if self._again and self._spare is None:
            self._spare = self._start()

    def worker(self) -> tuple[LocalWorker, DeviceRecord, ProbeRecord]:
        """A fresh worker, its device, and what its canary found. Raises `InfrastructureError` where none starts."""
        worker, self._spare = self._spare or self._start(), None
        try:
            told = _ready(worker)
            canary = ProbeRecord.model_validate(told["canary"])
            return worker, self._record(told, canary), canary
        except (WorkerLostError, ValidationError, KeyError) as error:
            worker.end()
            raise InfrastructureError(f"the worker of {NODE}/{INDEX} did not start: {error}") from error

    def forget(self, changed: Iterable[Path]) -> None:
        """Start the processes again from the beginning where they have loaded one of the files that were `changed`."""
        if self._server.has_loaded(changed):
            if self._spare is not None:
                self._spare.end()
                self._spare = None
            self._server.stop()
            self._server.start()

    def ask(self, asked: KernelQuestion, limit_s: float) -> KernelAnswer:
        """As `jobs.kernel_process.supervisor.answer`: ask a kernel in a process of its own, here a fork.

        Raises `KernelLoadError`, and what the kernel's process answered.
        """
        with tempfile.TemporaryDirectory(dir=self._scratch.name) as directory:
            question, answered, printed = (Path(directory) / name for name in ("question", "answer", "printed"))
            whole = asked.model_copy(update={"answer": str(answered), "path": [str(each) for each in sys.path]})
            question.write_text(whole.model_dump_json(), encoding="utf-8")
            process = self._process("answer_question", str(question), str(printed))
            over = _over(process, limit_s, {printed: _MOST_PRINTED_BYTES, answered: _MOST_ANSWER_BYTES})
            code = process.end()
            found = None if over else _read(answered)
            if found is None:
                ended = f"stopped: {over}" if over else f"ended with exit code {_shell(code)} and gave no answer"
                why = f"its process was {ended}" if over else f"its process {ended}"
                raise KernelLoadError(
                    asked.kernel, f"{why} ({asked.question.value})", "let it answer and end by itself"
                )
        if found.problem is not None:
            raise found.problem.error()
        return found

    def _start(self) -> LocalWorker:
        return LocalWorker(self._process("serve", self._cache, INDEX))

    def _process(self, name: str, *arguments: Any) -> WarmProcess:
        try:
            return self._server.process(local_worker.__name__, name, arguments)
        except (WarmProcessError, OSError) as error:
            raise InfrastructureError(str(error)) from error

    def _record(self, told: dict[str, Any], canary: ProbeRecord) -> DeviceRecord:
        return DeviceRecord(
            id=f"{NODE}/{INDEX}",
            node=socket.gethostname(),
            node_id=NODE,
            index=INDEX,
            soc=told["soc"],
            platform=self._platform.name,
            pid=told["pid"],
            card=told["card"],
            canary=canary.detail,
        )


def _ready(worker: LocalWorker) -> Any:
    """What `worker` says of the device. Raises `WorkerLostError` and `HostOverloadedError`."""
    told: list[Any] = []

    def ended(seconds: float) -> bool:
        if (answer := worker.answer(local_worker.READY, seconds)) is not None:
            told.append(answer)
        return bool(told)

    limit_s = start_limit.exceeded(ended, HostLoad.here())
    if limit_s is not None:
        worker.end()
        raise HostOverloadedError(socket.gethostname(), "the worker of this machine's device", limit_s, HostLoad.here())
    return told[0]


def _over(process: WarmProcess, limit_s: float, bounded: dict[Path, int]) -> str:
    """Wait until the process has closed its connection; else the limit it exceeded, in words."""
    deadline = time.monotonic() + limit_s
    while not connections.wait([process.connection], _LOOK_S):
        if time.monotonic() > deadline:
            return f"no answer within {limit_s:g} s"
        for path, most in bounded.items():
            if path.exists() and path.stat().st_size > most:
                return f"more than {most / 1e6:.0f} MB written to {path.name}"
    return ""


def _read(answered: Path) -> KernelAnswer | None:
    """The answer; None where there is none. It is data, never code."""
    try:
        return KernelAnswer.model_validate(json.loads(answered.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError):
        return None


def _shell(code: int) -> int:
    """An exit code as a shell gives it: 139 for signal 11."""
    return code if code >= 0 else 128 - code
