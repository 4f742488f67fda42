"""The drivers of the chaos test: kept busy until every run that is wanted has ended."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.chaos import driver
from tests.chaos.driver import Orders

AT_A_TIME = 5  # runs handed to one driver: starting a process costs as much as a run


@dataclass(slots=True)
class Author:
    """One driver process, and what it is at."""

    process: ForkServerProcess
    works: deque[str]  # not ended yet; the first is under way
    errors: Path  # its stderr
    run_id: str = ""  # of the run under way, "" before it has begun
    listener: threading.Thread = field(init=False)

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process.pid is not None
        return self.process.pid


class Authors:
    """`most` drivers at a time, started again after each that has ended."""

    def __init__(self, most: int, home: Path, store: str, say: Callable[[str], None]) -> None:
        self._most = most
        self._home = home
        self._store = store
        self._say = say
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([driver.__name__])
        self._waiting: deque[str] = deque()
        self._started = 0  # drivers
        self._lock = threading.Lock()
        self.alive: list[Author] = []
        self.wanted: dict[str, str] = {}  # run id → "honest" or "wrong"
        self.ended = 0  # runs

    @property
    def busy(self) -> bool:
        """Whether anything is under way, or waits."""
        return bool(self._waiting or self.alive)

    @property
    def starved(self) -> bool:
        """Whether a driver more could be used than there is work for."""
        return not self._waiting and len(self.alive) < self._most

    def want(self, *works: str) -> None:
        """Have `works` done as well."""
        self._waiting.extend(works)

    def under_way(self) -> list[Author]:
        """Those whose run has begun."""
        with self._lock:
            return [each for each in self.alive if each.run_id]

    def look_after(self, address: str) -> None:
        """Bury drivers that have ended, and start new ones on the cluster at `address` for what is left."""
        self._bury()
        while self._waiting and len(self.alive) < self._most:
            self._start(address)

    def end(self) -> None:
        """Kill those that live."""
        for author in self.alive:
            author.process.kill()
            author.process.join()

    def _start(self, address: str) -> None:
        works = [self._waiting.popleft() for _ in range(min(AT_A_TIME, len(self._waiting)))]
        self._started += 1
        errors = self._home / f"driver-{self._started}.log"
        reading, writing = self._context.Pipe(duplex=False)
        orders = Orders(address, self._home, self._store, errors, works)
        process = self._context.Process(target=driver.serve, args=(orders, writing), daemon=True)
        process.start()
        writing.close()  # the driver has its own end: when it ends, so does the reading
        author = Author(process, deque(works), errors)
        author.listener = threading.Thread(target=self._listen, args=(author, reading), daemon=True)
        self.alive.append(author)
        author.listener.start()

    def _listen(self, author: Author, messages: Connection) -> None:
        while True:
            try:
                what, run_id, verdict = messages.recv()
            except EOFError:
                return
            with self._lock:
                if what == "began":
                    author.run_id = run_id
                    self.wanted[run_id] = author.works[0].partition(":")[0]
                else:
                    author.run_id = ""
                    author.works.popleft()
                    self.ended += 1
                    self._say(f"ended   {run_id} {verdict}")

    def _bury(self) -> None:
        """What a driver that has ended left undone goes to the next, a run it had begun to be resumed."""
        for author in [each for each in self.alive if not each.process.is_alive()]:
            self.alive.remove(author)
            author.listener.join()
            code = author.process.exitcode
            if code not in (0, -signal.SIGKILL):
                last = author.errors.read_text(errors="replace").strip().splitlines()[-1:]
                self._say(f"a driver ended with {code} at {author.works[0]}: {''.join(last)[:300]}")
            if author.works and author.run_id:
                kind = author.works.popleft().partition(":")[0]
                self._waiting.append(f"{kind}:{author.run_id}")
            self._waiting.extend(author.works)
