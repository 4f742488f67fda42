"""A log that keeps the beginning and the end of what is written, however much that is."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from types import TracebackType


class BoundedLog:
    """Writes bytes to a file: the first half of `most_bytes` as they come, the last half when it is closed."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._file = path.open("wb", buffering=0)
        self._room = most_bytes // 2
        self._most_kept = most_bytes - self._room
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self.left_out = 0  # bytes

    def __enter__(self) -> BoundedLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Take in `data`. Raises `OSError`, on a full disk for example."""
        if self._room:
            now, data = data[: self._room], data[self._room :]
            self._room -= len(now)
            self._file.write(now)
        if not data:
            return
        self._tail.append(data)
        self._kept += len(data)
        while self._kept - len(self._tail[0]) >= self._most_kept:
            dropped = self._tail.popleft()
            self._kept -= len(dropped)
            self.left_out += len(dropped)

    def close(self) -> None:
        """Write the end, and say what is missing before it."""
        try:
            if self.left_out:
                self._file.write(f"\n… {self.left_out:,} bytes left out …\n".encode())
            for data in self._tail:
                self._file.write(data)
            self._tail.clear()
        finally:
            self._file.close()
