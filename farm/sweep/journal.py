"""A sweep's files while it goes on, made so that `kill -9` costs no more than the trials under way.

`plan.json` is written once and says what the sweep is bound to. `devices.json` has the devices held so far and
`quarantined.json` those it has put away; both are replaced whole. `cells.jsonl` has a line for each trial and is only
appended to; a line the process died in is dropped by the next reader, and its trial made again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from farm.atomic_file import write_whole
from farm.errors import InfrastructureError, UsageError
from farm.model.run import DeviceRecord
from farm.model.sweep import Cell, SweepPlan
from farm.store import named_directory

PLAN, DEVICES, CELLS, TOLD, LOCK = "plan.json", "devices.json", "cells.jsonl", "quarantined.json", ".lock"
_DEVICES = TypeAdapter(list[DeviceRecord])
_Item = TypeVar("_Item")
_NAMES = TypeAdapter(list[str])


class JournalError(InfrastructureError):
    """A sweep's files cannot be read or written."""


class Journal:
    """The files of one sweep. One writer at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep other processes from writing for the block. Raises `UsageError` where one does already."""
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.directory / LOCK, timeout=0):
                yield
        except Timeout as error:
            raise UsageError(f"sweep {self.directory.name} is going on in another process") from error

    def begin(self, plan: SweepPlan) -> None:
        """Make the directory and the plan."""
        write_whole(self.directory / PLAN, plan.model_dump_json(indent=2) + "\n")

    def plan(self) -> SweepPlan:
        """The plan of the sweep in this directory. Raises `UsageError` where there is none that can be read."""
        path = self.directory / PLAN
        try:
            return SweepPlan.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise UsageError(f"no sweep at {self.directory}; name one by its id, or 'latest'") from error
        except (OSError, ValidationError) as error:
            raise JournalError(f"{path} cannot be read: {_first_line(error)}") from error

    def save_devices(self, devices: Iterable[DeviceRecord]) -> None:
        """Replace the devices held so far. To be called before the first cell of a device."""
        write_whole(self.directory / DEVICES, _DEVICES.dump_json(list(devices), indent=1))

    def devices(self) -> list[DeviceRecord]:
        """The devices held so far."""
        return self._read(DEVICES, _DEVICES)

    def save_quarantined(self, devices: Iterable[str]) -> None:
        """Replace the list of devices this sweep has put into quarantine."""
        write_whole(self.directory / TOLD, _NAMES.dump_json(list(devices)))

    def quarantined(self) -> list[str]:
        """The devices this sweep has put into quarantine; a person may have released them since."""
        return self._read(TOLD, _NAMES)

    def append(self, cells: Iterable[Cell]) -> None:
        """Add cells; they are on the disk on return."""
        lines = "".join(cell.model_dump_json(exclude_defaults=True) + "\n" for cell in cells)
        if not lines:
            return
        with (self.directory / CELLS).open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def recover(self) -> list[Cell]:
        """All cells, the newest where a trial was made twice. Cuts off a line the last writer died in.

        Raises `JournalError` for a damaged line elsewhere: something else than an interruption was at work.
        """
        path = self.directory / CELLS
        if not path.exists():
            return []
        content = path.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        if torn:
            with path.open("r+b") as file:
                file.truncate(len(content) - len(torn))
        found: dict[tuple[str, str, int, int], Cell] = {}
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                cell = Cell.model_validate_json(line)
            except ValidationError as error:
                raise JournalError(f"{path} line {number} cannot be read: {_first_line(error)}") from error
            found[cell.device, cell.case, cell.seed, cell.repeat] = cell
        return list(found.values())

    def _read(self, name: str, kind: TypeAdapter[list[_Item]]) -> list[_Item]:
        """The list in a file; empty where there is none yet."""
        path = self.directory / name
        try:
            return kind.validate_json(path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise JournalError(f"{path} cannot be read: {_first_line(error)}") from error


def find(out: Path, name: str) -> Path:
    """Return the directory of the sweep `name` below `out`. Raises what `named_directory.find` raises."""
    return named_directory.find(out, name, PLAN, "sweep")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
