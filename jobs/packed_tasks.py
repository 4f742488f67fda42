"""The tasks of a trial as compressed text: what thousands of landed trials hold in the memory of a driver.

A task as an object takes about 1,000 bytes, in this form about 20. Code that only hands a record on, or asks how many
tasks it has, never pays for the objects.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from pydantic import TypeAdapter

from jobs.records import TaskRecord, TrialRecord

_TASKS = TypeAdapter(list[TaskRecord])
_LEVEL = 1  # half of what can be saved is saved at once, for a tenth of the time


class PackedTasks(Sequence[TaskRecord]):
    """Immutable. Every access makes the tasks again: who needs them more than once takes a list of them."""

    __slots__ = ("_count", "_text")

    def __init__(self, tasks: Iterable[TaskRecord]) -> None:
        whole = list(tasks)
        self._count = len(whole)
        self._text = zlib.compress(_TASKS.dump_json(whole), _LEVEL)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> TaskRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[TaskRecord]: ...

    def __getitem__(self, index: int | slice) -> TaskRecord | list[TaskRecord]:
        return self._unpacked()[index]

    def __iter__(self) -> Iterator[TaskRecord]:
        return iter(self._unpacked())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedTasks):
            return self._text == other._text
        return isinstance(other, list) and self._unpacked() == other

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"PackedTasks({self._count} tasks)"

    def _unpacked(self) -> list[TaskRecord]:
        return _TASKS.validate_json(zlib.decompress(self._text))


def packed(record: TrialRecord) -> TrialRecord:
    """Return `record` with its tasks packed, where it has any."""
    if not record.tasks or isinstance(record.tasks, PackedTasks):
        return record
    return record.model_copy(update={"tasks": PackedTasks(record.tasks)})
