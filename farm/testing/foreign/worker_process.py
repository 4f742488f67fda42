"""One pytest process of a foreign suite on one leased device, from its start to what it has written down."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farm.testing.foreign import pytest_call
from farm.testing.foreign.attempt import Attempt, Phase, Place, device_fault_lines
from farm.testing.foreign.pytest_call import PytestCall
from kernel.harness import invocation, process_tree, pytest_worker
from kernel.harness.activation import EnvironmentChange
from kernel.harness.bounded_log import BoundedLog
from kernel.harness.kernel import HarnessCall
from kernel.harness.process_tree import Bounds, ProcessExit
from kernel.harness.profile import Profile
from kernel.harness.pytest_worker.farm_pytest_worker import VARIABLE
from kernel.harness.set_up import SetupResult

_LONGEST_S = 7 * 86400.0  # of a whole process: each of its tests has a limit of its own
_LAST_BYTES = 4096  # of a log, for its last line
_START_S = 300.0  # at least this long for imports and the collection, before the first test begins


@dataclass(frozen=True, slots=True)
class ForeignSuite:
    """What every worker of one run is started with."""

    profile: Profile
    platform: str
    call: PytestCall
    ready: SetupResult
    arguments: tuple[str, ...]  # paths of tests, and options for pytest
    limit_s: float  # how long a worker may go without a word of a test
    offered: tuple[str, ...] = ()  # words of the profile's `[[flags]]` that the suite takes


@dataclass(slots=True)
class WorkerEnd:
    """What one process has done."""

    ended: ProcessExit
    log: Path
    code: int | None = None  # pytest's, where its session came to an end
    tests: list[str] | None = None  # collected; None where it did not come so far
    dropped: list[str] = field(default_factory=list)
    deselected: int = 0
    broken: dict[str, str] = field(default_factory=dict)  # what could not be collected → why
    attempts: dict[str, Attempt] = field(default_factory=dict)  # tests that it began

    @property
    def last_line(self) -> str:
        """What it printed last."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LAST_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")


def run(
    suite: ForeignSuite,
    place: Place,
    only: Sequence[str] | None,
    claims: Path,
    directory: Path,
    give_up: Callable[[], bool],
) -> WorkerEnd:
    """Run one process on `place` in the new `directory` until no test is left that it may take.

    Args:
        suite: What is run.
        place: The device, which is this process's alone.
        only: Node ids that it may take; None for all.
        claims: The directory that all workers of the run share.
        directory: Where it works and leaves its log.
        give_up: Asked several times a second; true ends it.

    Raises:
        OSError: The machine's, as a full disk.
    """
    work, plugin = directory / "work", directory / "plugin"
    for each in (work, plugin, *(work / below for below in suite.profile.environment.directories)):
        each.mkdir(parents=True, exist_ok=True)
    source = Path(pytest_worker.__file__).with_name(f"{pytest_call.PLUGIN}.py")
    shutil.copyfile(source, plugin / source.name)
    events = directory / "events.jsonl"
    asked = {
        "name": directory.name,
        "events": str(events),
        "claims": str(claims),
        "only": None if only is None else list(only),
        "device_faults": device_fault_lines(suite.profile),
    }

    words, environment, cwd = _started(suite, place, work, plugin, json.dumps(asked))
    limits = suite.profile.limits
    bounds = Bounds(_LONGEST_S, limits.stop_seconds, limits.disk_mb << 20)
    log = directory / "log.txt"
    silence = _Silence(events, suite.limit_s, give_up)
    with BoundedLog(log, limits.log_mb << 20) as kept:
        ended = process_tree.run(words, cwd, environment, bounds, kept.write, work, silence)
    shutil.rmtree(work, ignore_errors=True)
    return read(events, WorkerEnd(ended, log), place)


@dataclass(slots=True)
class _Silence:
    """Whether a process has gone without a word for too long, or is to be given up for another reason."""

    events: Path
    limit_s: float
    give_up: Callable[[], bool]
    begin: float = field(default_factory=time.time)
    begun: bool = False  # its first test

    def __call__(self) -> bool:
        if not self.begun and self.events.exists():
            self.begun = b'"begins"' in self.events.read_bytes()
        if not self.begun:
            return self.give_up() or time.time() - self.begin > max(self.limit_s, _START_S)
        return self.give_up() or time.time() - self.events.stat().st_mtime > self.limit_s


def _started(
    suite: ForeignSuite, place: Place, work: Path, plugin: Path, asked: str
) -> tuple[list[str], dict[str, str], Path]:
    """The command, its environment and its directory."""
    around = surroundings(suite, place, work)
    path = around.change.applied(around.environment).get("PYTHONPATH", "")
    added = {VARIABLE: asked, "PYTHONPATH": os.pathsep.join(each for each in (str(plugin), path) if each)}
    words = suite.call.words(around.known, [*suite.offered, *suite.arguments])
    return around.change.without(added).around(words), {**around.environment, **added}, around.directory


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process of the suite finds."""

    known: dict[str, str]  # placeholder → what it stands for
    environment: dict[str, str]
    change: EnvironmentChange  # of the set-up
    directory: Path


def surroundings(suite: ForeignSuite, place: Place, work: Path) -> Surroundings:
    """Return what a process on `place` finds that works in `work`."""
    profile, ready = suite.profile, suite.ready
    known = invocation.values(profile, ready.root, suite.platform, "", HarnessCall(), place.index, work)
    own = profile.platforms[suite.platform].set
    change = ready.change.without({*profile.environment.set, *own})
    return Surroundings(
        known, invocation.environment(profile, own, known), change, Path(profile.directory.format_map(known))
    )


def read(events: Path, into: WorkerEnd, place: Place) -> WorkerEnd:
    """Add what a process has written to `events`; a last line that was not finished counts nothing."""
    for event in _events(events):
        kind, name = event["event"], event.get("test", "")
        if kind == "collected":
            into.tests, into.dropped, into.deselected = event["tests"], event["dropped"], event["deselected"]
        elif kind == "broken":
            into.broken[name] = event["text"]
        elif kind == "begins":
            into.attempts[name] = Attempt(place)
        elif kind == "report":
            attempt = into.attempts.setdefault(name, Attempt(place))
            attempt.phases.append(_phase(event))
        elif kind == "ends":
            into.code = event["code"]
    for attempt in into.attempts.values():
        if not attempt.finished:
            attempt.ended = into.ended
    return into


def _phase(event: Mapping[str, Any]) -> Phase:
    return Phase(event["when"], event["outcome"], event["seconds"], event["message"], event["text"])


def _events(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.endswith("}"):
                yield json.loads(line)
