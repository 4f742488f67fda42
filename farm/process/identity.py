"""Which process owns a run, recorded precisely enough that a reused process id is never taken for it."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

_DEAD_STATES = ("Z", "X")  # a zombie still has its /proc entry until the parent reaps it


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for as long as it lives."""

    host: str
    boot: str  # kernel's boot id; "" where the system has none
    namespace: str  # process-id namespace, so that containers of one host are kept apart; "" where there is none
    pid: int
    started: int  # clock ticks after boot; 0 where the system does not tell

    def dump(self) -> str:
        """As one line of JSON, for a column of the store."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> ProcessIdentity:
        """The owner that `dump` wrote."""
        return ProcessIdentity(**json.loads(text))

    def gone(self) -> bool:
        """True where this process has certainly ended; False where it lives or cannot be seen from here."""
        if self.host != socket.gethostname():
            return False
        if self.boot != _boot():
            return True
        if self.namespace != _namespace():
            return False  # another container on this host: its process ids mean nothing here
        if not self.started:
            return not _signalable(self.pid)
        return _started(self.pid) != self.started

    def visible(self) -> bool:
        """Whether `gone` knows: this process runs, or ran, on this host and in this process-id namespace."""
        return self.host == socket.gethostname() and self.namespace == _namespace()


def current() -> ProcessIdentity:
    """The calling process."""
    return of(os.getpid())


def of(pid: int) -> ProcessIdentity:
    """The process that has `pid` right now; `started` is 0 where none has."""
    return ProcessIdentity(socket.gethostname(), _boot(), _namespace(), pid, _started(pid))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> int:
    """Start time of `pid` in ticks after boot; 0 where there is no such living process, or no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()  # the name before it may itself hold spaces and parentheses
    return 0 if fields[0] in _DEAD_STATES else int(fields[19])


def _signalable(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
