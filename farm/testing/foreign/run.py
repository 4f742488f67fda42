"""Runs a foreign suite with one worker a device until every test has its result or no device can say more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.errors import InfrastructureError, UsageError
from farm.testing.foreign import worker_process
from farm.testing.foreign.attempt import AttemptEnding, Place
from farm.testing.foreign.board import Board, TestResult
from farm.testing.foreign.suite_options import offered
from farm.testing.foreign.worker_process import ForeignSuite, WorkerEnd
from farm.text import one_line

_LOOK_S = 0.5
_MOST_IDLE = 2  # processes in a row that begin no test: others may have taken all, or it cannot collect
_REFUSED, _NOTHING = 4, 5  # pytest's exit codes


@dataclass(slots=True)
class _Shared:
    """What the workers' threads share."""

    suite: ForeignSuite
    board: Board
    directory: Path
    changed: threading.Condition = field(default_factory=threading.Condition)
    stop: threading.Event = field(default_factory=threading.Event)
    working: int = 0
    started: int = 0
    ends: list[tuple[Place, WorkerEnd]] = field(default_factory=list)

    def work(self, place: Place) -> None:
        """Start processes on `place`, one after the other, as long as there are tests for it."""
        idle = 0
        try:
            while idle < _MOST_IDLE and (turn := self._turn(place)) is not None:
                end = self._process(place, *turn)
                idle = 0 if end.attempts else idle + 1
        except BaseException:
            self.stop.set()
            raise

    def _process(self, place: Place, only: Sequence[str] | None, directory: Path) -> WorkerEnd:
        """Run one process and take what it has done."""
        try:
            end = worker_process.run(self.suite, place, only, self.board.claims, directory, self.stop.is_set)
            with self.changed:
                self._absorb(place, directory.name, end)
            return end
        finally:
            with self.changed:
                self.working -= 1
                self.changed.notify_all()

    def _turn(self, place: Place) -> tuple[Sequence[str] | None, Path] | None:
        """What a new process on `place` may take, and its directory; None where nothing is left for it."""
        with self.changed:
            only: Sequence[str] | None = None
            if self.board.broken or self.board.differing:
                return None
            while self.board.known and not (only := self.board.free_for(place)):
                if not self.working or self.stop.is_set():
                    return None
                self.changed.wait(_LOOK_S)
            if self.stop.is_set():
                return None
            self.working += 1
            self.started += 1
            directory = self.directory / f"{self.started:03d}-{place.id.replace('/', '-')}"
            directory.mkdir(parents=True)
            return only, directory

    def _absorb(self, place: Place, worker: str, end: WorkerEnd) -> None:
        self.ends.append((place, end))
        self.board.broken.update(end.broken)
        if end.tests is None:
            return
        self.board.collect(end.tests, end.dropped, end.deselected)
        for name, attempt in end.attempts.items():
            self.board.add(name, attempt)
        self.board.give_back(worker)


def run(
    suite: ForeignSuite, places: Sequence[Place], directory: Path, check: Callable[[], None] = lambda: None
) -> list[TestResult]:
    """Return how each test of `suite` ended; logs are left below the new `directory`.

    `check` is called while the workers run. What it raises ends them, as an interrupt does.

    Raises:
        UsageError: pytest refuses its arguments, or finds no test.
        InfrastructureError: The tests could not be collected, or not in the same way by all workers.
    """
    claims = directory / "claims"
    claims.mkdir(parents=True)
    suite = replace(suite, offered=offered(suite, places[0], directory))
    shared = _Shared(suite, Board(suite.profile, suite.limit_s, claims), directory)
    with ThreadPoolExecutor(len(places)) as pool:
        workers = [pool.submit(shared.work, place) for place in places]
        try:
            while wait(workers, _LOOK_S).not_done:
                check()
        finally:
            shared.stop.set()
    for worker in workers:
        worker.result()
    _require_collected(shared)
    return shared.board.results()


def _require_collected(shared: _Shared) -> None:
    board = shared.board
    if board.broken:
        name, text = next(iter(board.broken.items()))
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        raise InfrastructureError(f"{len(board.broken)} files cannot be collected; {name}: {one_line(last)}")
    if board.differing:
        raise InfrastructureError(
            f"two workers collected different tests: only one of them has {board.differing}; name tests the same "
            "in every process"
        )
    first = shared.ends[0][1]
    if not board.known:
        told = f"the last line of {first.log} is: {one_line(first.last_line)}"
        if first.code == _REFUSED or first.ended.exit_code == _REFUSED:
            raise UsageError(f"pytest does not take these arguments; {told}")
        raise InfrastructureError(f"no worker could collect the tests; {told}")
    if not board.results():
        if board.deselected:
            raise UsageError(f"all {board.deselected} tests were deselected; name others")
        raise UsageError("pytest found no test to run; name a file or directory with tests")


def require_proof(results: Sequence[TestResult]) -> None:
    """Raise `InfrastructureError` where no test ran: that everything was skipped proves nothing."""
    if all(each.ending is AttemptEnding.SKIPPED for each in results):
        raise InfrastructureError(f"no test ran ({len(results)} skipped), so nothing is proven")
