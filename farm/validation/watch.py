"""Notices that files were saved, by looking at them a few times a second.

A kernel has a few dozen files at most, and a look at each costs microseconds. So no library and no kernel interface for
it is needed, and what these do not see is seen: files on network file systems and mounts of containers, and editors
that write a new file and rename it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

LOOK_S = 0.05

Files = Callable[[], Iterable[Path]]
_State = tuple[int, int, int]  # modified, in ns; bytes; inode


class WatchedFiles:
    """What some files looked like at the last look. The set may change from look to look."""

    def __init__(self, files: Files) -> None:
        """`files` is asked at each look."""
        self._files = files
        self._seen = self._now()

    def changed(self) -> set[Path]:
        """Files that are new, gone, or other than at the last look."""
        before, self._seen = self._seen, self._now()
        return {path for path in before.keys() | self._seen.keys() if before.get(path) != self._seen.get(path)}

    def adopt(self) -> None:
        """Take files that belong to the set only now as seen; of the others, changes are still reported."""
        self._seen = {**self._now(), **self._seen}

    def wait(self, pause: Callable[[float], None] = time.sleep) -> set[Path]:
        """Wait for a save to be complete: until something has changed and nothing has since the look before."""
        found: set[Path] = set()
        while True:
            changed = self.changed()
            if found and not changed:
                return found
            found |= changed
            pause(LOOK_S)

    def _now(self) -> dict[Path, _State | None]:
        return {path: _state(path) for path in self._files()}


def _state(path: Path) -> _State | None:
    """None for a file that is not there, as between the two steps of an editor's save."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
