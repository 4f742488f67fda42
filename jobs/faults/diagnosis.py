"""Finds the row of the fault table for what was seen: an exception, a lost worker, an exit code, or a log."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.faults.model import Action, FaultRow, Source
from jobs.faults.table import TABLE
from jobs.records import Fault
from kernel.errors import DeviceError, HarnessError, KernelLayerError, words_of
from kernel.spec import Kernel

_ROWS = {(row.source, row.signal): row for row in TABLE}
_KINDS = {row.kind: row for row in reversed(TABLE)}  # rows of one kind agree on fault and action
_OTHER = "…"
_UNEXPLAINED = "unexplained-"  # what follows is the exception or exit code: two cards agree only on the same
_FIRST_SIGNAL = 128  # a shell reports a process ended by signal N as 128 + N
_LINE_CHARACTERS = 240

# A six-digit number is an error code only where the text says so: shapes and sizes have six digits as well. The forms
# are those of CANN ("error code is 507015", "runtime result = 507046."), of simpler ("rtMalloc failed: 507899") and of
# `DeviceError` itself.
_CODE = (
    r"(?i:\b(?:error)?(?:code|result|failed|error)\b[^\w\n]{0,3}(?:is\b|with\b|code\b)?[^\w\n]{0,3})"
    r"(?P<code>[125]07\d{3})(?!\d)"
)
_LATCHED = r"\b(?P<latch>orch|sched)_error_code=(?P<number>[1-9]\d*)"
_LINES = tuple(row for row in TABLE if row.source is Source.LOG)
_SIGNS = re.compile("|".join([_CODE, _LATCHED, *(f"(?P<l{n}>{row.signal})" for n, row in enumerate(_LINES))]))


# Errors about one file, which are the kernel's where it asked for the file itself. A full disk is not among them.
OWN_FILES = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, FileExistsError)
_TOOLCHAINS = {"pypto", "torch_npu", "ray"}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A fault seen in a log, and where."""

    row: FaultRow
    line: str


def of_kind(kind: str) -> FaultRow:
    """The row behind a record's kind. A kind that no row has is taken for a crash of the farm's own."""
    if kind in _KINDS:
        return _KINDS[kind]
    if kind.startswith(_UNEXPLAINED):
        return replace(_KINDS[_UNEXPLAINED + _OTHER], kind=kind)
    code = kind.removeprefix("device-")
    return of_device_code(code) if code != kind else _ROWS[Source.EXCEPTION, _OTHER]


def kinds() -> frozenset[str]:
    """Every kind of the table, but those that are made of an error code."""
    return frozenset(_KINDS)


def of_exception(error: BaseException, kernel: Kernel) -> FaultRow:
    """The row of `error`, raised while `kernel` was built or run."""
    if isinstance(error, DeviceError):
        return of_device_code(error.code)
    if isinstance(error, HarnessError):
        return of_kind(error.kind)
    if isinstance(error, KernelLayerError) and (row := _of_type(error)) is not None:
        return row
    if any(isinstance(link, OWN_FILES) and _opened_by(link, kernel) for link in _chain(error)):
        return _ROWS[Source.FARM, "kernel-raised"]
    # Whatever wraps it: PyPTO makes a RuntimeError of a full disk, and the kernel's code is on the stack then as well.
    for link in _chain(error):
        if (row := _of_machine(link)) is not None:
            return row
    if _raised_by(error, kernel):
        return _ROWS[Source.FARM, "kernel-raised"]
    return _ROWS[Source.EXCEPTION, _OTHER]


def of_worker(signal: str, detail: str) -> FaultRow:
    """The row of a worker that gave no record: `signal` is a kind of the table or the name of Ray's exception.

    `detail` is all of Ray's text. It decides where Ray uses one type for several things: `ActorDiedError` is raised for
    a dead process, a dead node and a full memory alike.
    """
    if signal in _KINDS:
        return _KINDS[signal]
    if "running low on memory" in detail:
        return _ROWS[Source.WORKER, "OutOfMemoryError"]
    if "node has died" in detail:
        return _ROWS[Source.WORKER, "NodeDiedError"]
    if (code := exit_code(detail)) is not None:
        return of_exit(code)
    if signal.startswith("RayTaskError"):
        return _of_raised(signal, detail)
    return _ROWS.get((Source.WORKER, signal), _ROWS[Source.WORKER, _OTHER])


def of_exit(code: int) -> FaultRow:
    """The row of an exit code, or of a negated signal as `subprocess` gives it."""
    code = code if code >= 0 else _FIRST_SIGNAL - code
    return _ROWS.get((Source.EXIT, str(code)), _ROWS[Source.EXIT, _OTHER])


def of_device_code(code: str) -> FaultRow:
    """The row of a runtime's error code; one that is not listed gets its family's, under its own name."""
    row = _ROWS.get((Source.RUNTIME, code))
    if row is not None:
        return row
    for family in (code[:2], code[:1]):
        if (row := _ROWS.get((Source.RUNTIME, family + _OTHER))) is not None:
            return replace(row, signal=code, kind=f"device-{code}")
    return replace(_ROWS[Source.RUNTIME, "unknown"], signal=code, kind=f"device-{code}")


def exit_code(detail: str) -> int | None:
    """The exit code in Ray's account of a dead worker, by signal where Ray names one; None where it knows neither.

    Most deaths come without one ("connection error code 2" is the socket's), and the text then lists the common causes,
    signals among them; so only Ray's two definite sentences count.
    """
    if "The process receives a SIGTERM" in detail:
        return _FIRST_SIGNAL + 15
    found = re.search(r"exits with an exit code (\d+)", detail)
    return int(found[1]) if found else None


def first_fault(text: str) -> Sighting | None:
    """The fault a log begins with: the first that is not another's fallout, or the first fallout where all are.

    A code the device latched goes before the host's codes, wherever it is printed: the host reads it back after its own
    call has failed, so it stands below the code it explains.
    """
    fallout = host = None
    for seen in _sightings(text):
        if seen.row.source is Source.LATCHED:
            return seen
        if seen.row.action is Action.FALLOUT:
            fallout = fallout or seen
        else:
            host = host or seen
    return host or fallout


def _sightings(text: str) -> Iterator[Sighting]:
    for found in _SIGNS.finditer(text):
        begin = max(text.rfind("\n", 0, found.start()) + 1, found.start() - _LINE_CHARACTERS // 2)
        line = text[begin : found.end() + _LINE_CHARACTERS].split("\n", 1)[0]
        yield Sighting(_row_of(found), shortened(line))


def _row_of(found: re.Match[str]) -> FaultRow:
    if found["code"]:
        return of_device_code(found["code"])
    if found["latch"]:
        who = "orchestrator" if found["latch"] == "orch" else "scheduler"
        known = _ROWS.get((Source.LATCHED, f"{who}-{found['number']}"))
        return known or replace(of_device_code("unknown"), name=f"{who} code {found['number']}")
    return next(row for number, row in enumerate(_LINES) if found[f"l{number}"])


def shortened(text: str) -> str:
    """`text` as one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 1] + "…"


def _of_type(error: BaseException) -> FaultRow | None:
    found = (_ROWS.get((Source.EXCEPTION, ancestor.__name__)) for ancestor in type(error).__mro__)
    return next((row for row in found if row is not None), None)


def _of_machine(error: BaseException) -> FaultRow | None:
    """The row of an error that is the machine's: by its errno, its type, or the words of torch's allocator."""
    if isinstance(error, OSError):
        number = errno.errorcode.get(error.errno or 0, "")
        return _ROWS.get((Source.EXCEPTION, number), _of_type(error))
    if isinstance(error, MemoryError):
        return _of_type(error)
    seen = first_fault(words_of(error))
    return seen.row if seen is not None and seen.row.fault is Fault.NODE else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and what it was raised from, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_raised(signal: str, detail: str) -> FaultRow:
    """An exception that left a job: Ray names its type in brackets, and its errno is in the text."""
    number = re.search(r"\[Errno (\d+)\]", detail)
    names = (errno.errorcode.get(int(number[1]), "") if number else "", signal.partition("(")[2].rstrip(")"))
    rows = [
        _ROWS[Source.EXCEPTION, name]
        for name in (*names, "OSError" if number else "")
        if (Source.EXCEPTION, name) in _ROWS
    ]
    return rows[0] if rows else _ROWS[Source.EXCEPTION, _OTHER]


def _raised_by(error: BaseException, kernel: Kernel) -> bool:
    """Whether the kernel's own code was running when `error` was raised."""
    return any(_own_frames(error, kernel))


def _opened_by(error: BaseException, kernel: Kernel) -> bool:
    """Whether it was the kernel's own code that asked for the file, and not a toolchain that it had called."""
    own = _own_frames(error, kernel)
    if not any(own):
        return False
    called = traceback.extract_tb(error.__traceback__)[len(own) - own[::-1].index(True) :]
    return not any(_TOOLCHAINS & set(Path(frame.filename).parts) for frame in called)


def _own_frames(error: BaseException, kernel: Kernel) -> list[bool]:
    """For each frame of `error`, outermost first, whether it is in the kernel's own code."""
    try:
        own = {Path(path).resolve() for path in kernel.sources()}
    except (Exception, SystemExit):  # noqa: BLE001  # foreign code again: where its sources are unknown, none is its own
        own = set()
    return [Path(frame.filename).resolve() in own for frame in traceback.extract_tb(error.__traceback__)]
