"""Writes one run into a store that may be away for a while: locked, restarted, full, or behind a cut network.

A thread of its own writes in the order of the calls. As long as the store answers at once, what a call wrote is durable
when the call returns. Where it does not, the call returns all the same and the thread tries again, so trials go on.
A read that is not answered ends with an error after a while: a database that is stopped takes questions and answers
none.
At the run's end the reports are written first, then the rest is waited for with a bound; what is not in the store by
then is written into the run's own directory, and `farm runs import` brings it in.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from farm.atomic_file import write_whole
from farm.errors import UsageError
from farm.model.device_health import Health, HealthEvent
from farm.model.program_time import ProgramTime
from farm.model.run import RunRecord
from farm.process.background_call import BackgroundCall
from farm.store.engine import StoreError, StoreSilentError
from farm.store.landed_times import landed_times
from farm.store.program_times import program_times
from farm.store.row_mapping import LoggedEvent
from farm.store.run_store import Store
from jobs.records import TrialRecord
from kernel.platforms.protocol import Platform

T = TypeVar("T")

UNSTORED = "unstored.json"  # in the run's directory: what `farm runs import` needs besides report.json
WAIT_VARIABLE = "FARM_STORE_WAIT"
WAIT_S = 60.0  # a database that restarts is back within seconds, one that is backed up within a minute
READ_S = 45.0  # an answer takes milliseconds; a SQLite file that is locked says so after 30 s
_PROMPT_S = 2.0  # a call waits so long for its own write, and no call waits while an earlier write is late
_PAUSE_S = 1.0  # between two attempts
BEAT_S = 15.0  # between two signs of life of the run


def wait_s() -> float:
    """Seconds to wait for a store that is away, once the run has ended: `$FARM_STORE_WAIT`. Raises `UsageError`."""
    text = os.environ.get(WAIT_VARIABLE, f"{WAIT_S:g}")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise UsageError(f"{WAIT_VARIABLE} is '{text}'; use a number of seconds from 0 to 86400")
    return seconds


@dataclass(frozen=True, slots=True)
class _Write:
    """One thing to be written."""

    action: Callable[[], None]
    events: tuple[HealthEvent, ...] = ()  # what of it the run's record does not hold


class RunWriter:
    """Follows `Store` in what one run writes, and is a `HealthBook`. Several threads may call it."""

    def __init__(
        self,
        store: Store,
        *,
        prompt_s: float = _PROMPT_S,
        pause_s: float = _PAUSE_S,
        beat_s: float = BEAT_S,
        read_s: float = READ_S,
    ) -> None:
        self._store = store
        self._prompt_s = prompt_s
        self._pause_s = pause_s
        self._beat_s = beat_s
        self._read_s = read_s
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[_Write] = deque()
        self._late = False  # the store did not answer a write at once
        self._silent = False  # it did not answer the last read at all
        self._why = ""  # what it said last
        self._problem: Exception | None = None  # another error than that the store is away
        self._run_id = ""  # of the run that is under way
        self._known: dict[str, Mapping[str, Health]] = {}  # platform → what was read last
        self._closed = False
        threading.Thread(target=self._work, name="run-writer", daemon=True).start()

    def begin(self, record: RunRecord) -> None:
        """See `Store.begin`."""
        self._put(lambda: self._store.begin(record))
        self._run_id = record.run_id

    def update(self, record: RunRecord) -> None:
        """See `Store.update`."""
        self._put(lambda: self._store.update(record))

    def save_trials(self, run_id: str, trials: Sequence[TrialRecord]) -> None:
        """See `Store.save_trials`."""
        kept = list(trials)
        self._put(lambda: self._store.save_trials(run_id, kept))

    def observe(self, events: Sequence[HealthEvent]) -> None:
        """See `Store.observe`."""
        if events:
            kept = tuple(events)
            self._put(lambda: self._store.observe(kept), kept)

    def health(self, platform: str) -> Mapping[str, Health]:
        """See `Store.health`; while the store is away, its last answer. Raises `StoreError` where there is none."""
        try:
            self._known[platform] = self._read(self._store.health, platform)
        except StoreError as error:
            if not error.away or platform not in self._known:
                raise
        return self._known[platform]

    def device_history(self, platform: str, device: str, limit: int) -> list[LoggedEvent]:
        """See `Store.device_history`; nothing while the store is away."""
        try:
            return self._read(self._store.device_history, platform, device, limit)
        except StoreError:
            return []

    def program_times(
        self, kernel: str, platform: Platform, programs: Collection[tuple[str, str]]
    ) -> dict[str, list[ProgramTime]]:
        """See `farm.store.program_times`, for `platform` as it is here. Raises `StoreError`."""
        toolchain = platform.toolchain()
        return self._read(program_times, self._store.engine, kernel, platform.name, platform.clock, toolchain, programs)

    def landed_times(
        self, kernel: str, platform: Platform, commits: Sequence[str]
    ) -> list[tuple[str, dict[str, float]]]:
        """See `farm.store.landed_times`, for `platform` as it is here. Raises `StoreError`."""
        toolchain = platform.toolchain()
        return self._read(landed_times, self._store.engine, kernel, platform.name, platform.clock, toolchain, commits)

    def identify(self, platform: str, device: str, identity: str) -> Health:
        """See `Store.identify`. A card nobody can be asked about gets no work: raises `StoreError`."""
        return self._read(self._store.identify, platform, device, identity)

    def conclude(
        self,
        record: RunRecord,
        events: Sequence[HealthEvent],
        write_reports: Callable[[], object],
        directory: Path,
        patience_s: float,
    ) -> None:
        """Give the run its verdict, in the store and in its reports, whichever of the two fails.

        The store first: the verdict must stand even where a full disk takes the reports. But it gets a moment only;
        what it has not taken after the reports are written is waited for.

        Args:
            record: The finished run.
            events: What its end says of devices.
            write_reports: Writes the reports; what it raises is raised.
            directory: Of the run, for what the store does not take.
            patience_s: Seconds to wait for a store that is away. Ctrl-C ends the wait.

        Raises:
            FarmError: The store refused a write, for a reason other than that it is away.
        """
        kept = tuple(events)
        with self._changed:
            if kept:
                self._waiting.append(_Write(lambda: self._store.observe(kept), kept))
            self._waiting.append(_Write(lambda: self._store.finish(record)))
            self._changed.notify_all()
        self._drain(0.0 if self._late else self._prompt_s)
        try:
            write_reports()
        finally:
            lost = self._settle(directory, patience_s)
            if lost:
                print(f"farm: {lost}", file=sys.stderr)
        self._raise()

    def _settle(self, directory: Path, patience_s: float) -> str:
        """Wait until everything is written; else one line on where the run is, which has been noted down there."""
        with contextlib.suppress(KeyboardInterrupt):
            self._drain(patience_s)
        with self._changed:
            left, why = list(self._waiting), self._why or "the store does not answer"
            self.close()
        if not left:
            return ""
        events = [asdict(event) for write in left for event in write.events]
        write_whole(directory / UNSTORED, json.dumps({"why": why, "events": events}, indent=2))
        return f"{why}; the run is in {directory}, bring it in with `farm runs import {directory}`"

    def close(self) -> None:
        """End the thread; what is not written by now is dropped."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        """Return what `read` returns. Raises what it raises, and `StoreSilentError`."""
        limit_s = min(self._read_s, self._prompt_s) if self._silent else self._read_s
        asked = BackgroundCall("run-reader", read, *arguments)
        self._silent = not asked.ended(limit_s)
        if self._silent:
            raise StoreSilentError("read", limit_s)
        return asked.result()

    def _put(self, action: Callable[[], None], events: tuple[HealthEvent, ...] = ()) -> None:
        with self._changed:
            self._waiting.append(_Write(action, events))
            self._changed.notify_all()
        if not self._late:
            self._late = not self._drain(self._prompt_s)
        self._raise()

    def _drain(self, limit_s: float) -> bool:
        """Whether everything is written, or refused, within `limit_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, limit_s)

    def _raise(self) -> None:
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem

    def _work(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed, self._beat_s)
                write = self._waiting[0] if self._waiting else None
            if write is None:
                self._beat()
            elif not self._written(write):
                time.sleep(self._pause_s)
                self._beat()

    def _written(self, write: _Write) -> bool:
        """Return whether `write` is finished: written, or refused."""
        problem: Exception | None = None
        try:
            write.action()
        except StoreError as error:
            if error.away:
                self._why = str(error)
                return False
            problem = error
        except Exception as error:  # noqa: BLE001 - not swallowed: raised again in the thread that called
            problem = error
        with self._changed:
            if self._waiting and self._waiting[0] is write:
                self._waiting.popleft()
            self._problem = self._problem or problem
            self._late = bool(self._waiting) and self._late
            self._changed.notify_all()
        return True

    def _beat(self) -> None:
        """Give a sign of life, so that a reader elsewhere knows that the run goes on."""
        if self._run_id and not self._closed:
            try:
                self._store.hear(self._run_id)
            except StoreError as error:
                self._why = str(error)
