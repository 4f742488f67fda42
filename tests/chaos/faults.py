"""What the chaos test does to a cluster: kills, freezes, cuts, locks and fills."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farm.store.run_store import Store
from tests import clusters
from tests.chaos.authors import Authors
from tests.network_namespaces import Beyond

_BLOCK = b"\0" * (1 << 20)


@dataclass(slots=True)
class Scene:
    """What there is to be hit."""

    cluster: Any
    nodes: dict[int, Any]  # on this machine, by number
    authors: Authors
    store: Store
    database: Path
    beyond: Beyond | None  # a node behind a cable
    disk: Path | None  # a small one, on which everything of the farm lies
    per_node: int


@dataclass(slots=True)
class Faults:
    """Does things to the scene, and undoes after a while what is not a kill. Not two kinds of undoing at a time."""

    scene: Scene
    random: random.Random
    say: Callable[[str], None]
    lasts_s: tuple[float, float]  # a freeze, a cut, a lock, a full disk, the absence of a node
    _undo: list[tuple[float, Callable[[], str]]] = field(default_factory=list)
    _hit: set[str] = field(default_factory=set)  # runs that have lost a worker to us

    def kinds(self) -> dict[str, int]:
        """What can be done here, with how often of all."""
        every = {"worker": 5, "driver": 2, "raylet": 1, "frozen worker": 2, "frozen driver": 1, "frozen raylet": 1}
        every |= {"locked store": 1}
        every |= {"cut": 1} if self.scene.beyond else {}
        return every | ({"full disk": 1} if self.scene.disk else {})

    def do(self, kind: str) -> bool:
        """Whether something was there for a fault of `kind` to hit."""
        actions: dict[str, Callable[[], str]] = {
            "worker": self._kill_worker,
            "driver": self._kill_driver,
            "raylet": self._kill_raylet,
            "frozen worker": self._freeze_worker,
            "frozen driver": self._freeze_driver,
            "frozen raylet": self._freeze_raylet,
            "locked store": self._lock_store,
            "cut": self._cut,
            "full disk": self._fill,
        }
        told = ""
        with contextlib.suppress(ProcessLookupError):  # it ended by itself in this moment
            told = actions[kind]()
        if told:
            self.say(told)
        return bool(told)

    def undo(self) -> bool:
        """Undo what has lasted long enough; whether anything lasts on."""
        due = [entry for entry in self._undo if time.monotonic() >= entry[0]]
        self._undo = [entry for entry in self._undo if entry not in due]
        for _, action in due:
            with contextlib.suppress(ProcessLookupError):
                self.say(action())
        return bool(self._undo)

    def _later(self, action: Callable[[], str]) -> None:
        self._undo.append((time.monotonic() + self.random.uniform(*self.lasts_s), action))

    def _worker(self) -> tuple[int, str]:
        """A live worker of a run under way: its process, and what it is called."""
        runs = sorted(each.run_id for each in self.scene.authors.under_way() if each.run_id not in self._hit)
        if not runs:
            return 0, ""
        run_id = self.random.choice(runs)
        alive = [device for device in self.scene.store.get(run_id).devices if _is_worker(device.pid)]
        if not alive:
            return 0, ""
        device = self.random.choice(alive)
        return device.pid, f"worker {device.pid} of run {run_id} on {device.id}"

    def _kill_worker(self) -> str:
        pid, name = self._worker()
        if not pid:
            return ""
        self._hit.add(name.split()[4])
        os.kill(pid, signal.SIGKILL)
        return f"KILL    {name}"

    def _kill_driver(self) -> str:
        author = self._author()
        if author is None:
            return ""
        author.process.kill()
        return f"KILL    driver {author.pid} at {author.run_id or 'nothing begun'}"

    def _author(self) -> Any:
        busy = self.scene.authors.under_way() or self.scene.authors.alive
        return self.random.choice(busy) if busy else None

    def _kill_raylet(self) -> str:
        if len(self.scene.nodes) < 2:
            return ""  # another node away would only make everybody wait
        number = self.random.choice(sorted(self.scene.nodes))
        self.scene.cluster.remove_node(self.scene.nodes.pop(number), allow_graceful=False)
        self._later(lambda: self._bring_back(number))
        return f"KILL    raylet of node n{number}"

    def _bring_back(self, number: int) -> str:
        try:
            self.scene.nodes[number] = clusters.add_node(self.scene.cluster, number, self.scene.per_node)
        except Exception as error:  # noqa: BLE001  # Ray has no type for a node that is too slow to start
            self._later(lambda: self._bring_back(number))
            return f"node n{number} did not start: {str(error)[:80]}"
        return f"node n{number} is back"

    def _freeze(self, pid: int, name: str) -> str:
        os.kill(pid, signal.SIGSTOP)

        def thaw() -> str:
            os.kill(pid, signal.SIGCONT)
            return f"thawed  {name}"

        self._later(thaw)
        return f"FREEZE  {name}"

    def _freeze_worker(self) -> str:
        pid, name = self._worker()
        return self._freeze(pid, name) if pid else ""

    def _freeze_driver(self) -> str:
        author = self._author()
        return self._freeze(author.pid, f"driver {author.pid} at {author.run_id or 'nothing begun'}") if author else ""

    def _freeze_raylet(self) -> str:
        if not self.scene.nodes:
            return ""
        number = self.random.choice(sorted(self.scene.nodes))
        [raylet] = self.scene.nodes[number].all_processes["raylet"]
        return self._freeze(raylet.process.pid, f"raylet of node n{number}")

    def _lock_store(self) -> str:
        held = sqlite3.connect(self.scene.database, isolation_level=None)
        held.execute("BEGIN IMMEDIATE")

        def unlock() -> str:
            held.execute("COMMIT")
            held.close()
            return "unlocked the store"

        self._later(unlock)
        return "LOCK    the store"

    def _cut(self) -> str:
        beyond = self.scene.beyond
        assert beyond is not None
        beyond.cut()

        def join() -> str:
            beyond.join()
            return "joined  the cable"

        self._later(join)
        return "CUT     the cable of a node"

    def _fill(self) -> str:
        assert self.scene.disk is not None
        ballast = self.scene.disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(_BLOCK)

        def empty() -> str:
            ballast.unlink()
            return "emptied the disk"

        self._later(empty)
        return "FILL    the disk of store and reports"


def _is_worker(pid: int) -> bool:
    """Whether `pid` is a live worker that holds a device: Ray names its processes after the actor's class."""
    with contextlib.suppress(OSError):
        return b"DeviceWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
