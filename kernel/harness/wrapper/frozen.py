"""The inputs of a program, kept by its first run and given to every later one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .tensors import SCALARS, fill, form, named, raw

_DATA = "tensors.bin"
_TABLE = "tensors.jsonl"


class NotFrozenError(Exception):
    """What keeps the inputs from being frozen, in words."""


class Frozen:
    """What one process does with its inputs: every call of one function adds to them, or takes the next ones."""

    def __init__(self, save: str, feed: str, most_bytes: int, mark: Path) -> None:
        """`mark` is a file that says which process of the run has the inputs."""
        self.save = Path(save) if save else None
        self.feed = Path(feed) if feed else None
        self.most_bytes = most_bytes
        self.mark = mark
        self.pid = os.getpid()
        self.table: list[list[Any]] | None = None  # dtype and shape of every tensor that was kept
        self.taken = 0
        self.position = 0
        self.stopped = save == feed == ""

    def take(self, value: Callable[[], Any]) -> None:
        """Keep the tensors in `value()`, or fill them with what was kept. Raises what keeps it from that, once."""
        if self.stopped:
            return
        try:
            if os.getpid() != self.pid or not self._only_process():
                raise NotFrozenError("it was called in several processes")
            tensors = [each for _, each in named("", value()) if not isinstance(each, SCALARS)]
            if self.save is not None:
                self._keep(tensors, self.save)
            elif self.feed is not None:
                self._fill(tensors, self.feed)
        except Exception:
            self.stopped = True
            raise

    def rest(self) -> str:
        """Return what is wrong at the end, in words; "" where all that was kept was taken."""
        kept = len(self.table or ())
        if self.stopped or self.taken == kept or os.getpid() != self.pid:
            return ""
        return f"only {self.taken} of {kept} were asked for"

    def _only_process(self) -> bool:
        """Whether no other process has frozen anything in this run."""
        try:
            file = os.open(self.mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return self.mark.read_text() == str(self.pid)
        os.write(file, str(self.pid).encode())
        os.close(file)
        return True

    def _keep(self, tensors: list[Any], where: Path) -> None:
        where.mkdir(parents=True, exist_ok=True)
        with (where / _DATA).open("ab") as data, (where / _TABLE).open("a") as table:
            for tensor in tensors:
                bits = raw(tensor)
                if data.tell() + bits.nbytes > self.most_bytes:
                    data.truncate(0)
                    raise NotFrozenError(f"they are larger than {self.most_bytes >> 20} MB")
                data.write(bits)
                table.write(json.dumps(form(tensor)) + "\n")

    def _fill(self, tensors: list[Any], where: Path) -> None:
        if self.table is None:
            if not (where / _TABLE).exists():
                raise NotFrozenError("the first run has kept none")
            self.table = [json.loads(line) for line in (where / _TABLE).read_text().splitlines()]
        with (where / _DATA).open("rb") as data:
            data.seek(self.position)
            for tensor in tensors:
                if self.taken >= len(self.table):
                    raise NotFrozenError(f"the first run had {len(self.table)} tensors, this one has more")
                if form(tensor) != self.table[self.taken]:
                    was = self.table[self.taken]
                    raise NotFrozenError(f"tensor {self.taken} is {form(tensor)}, in the first run it was {was}")
                fill(tensor, data.read(raw(tensor).nbytes))
                self.taken += 1
            self.position = data.tell()
