"""Digests of a program's own tensors: has `kernel.harness.wrapper` loaded in its processes, and reads what it wrote.

What is in the file is the word of a foreign process. It is read with bounds and checked line by line, and one line that
is none takes the word from all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kernel.harness import wrapper
from kernel.harness.kernel import HarnessCall
from kernel.harness.profile_data import Data, Digests
from kernel.platforms.protocol import Claim

BY_PROCESS = "process"
_PLACE = "farm-digests"  # below the trial's working directory
_MOST_BYTES = 96 << 20
_MOST_LINE_BYTES = 4 << 10
_MOST_NAMES = 1000  # outputs with a claim of their own; the others share one
_KEPT_CHARACTERS = 240


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    process: int


class _Problem(_Line):
    problem: str


class _Bits(_Line):
    name: str = Field(min_length=1, max_length=_KEPT_CHARACTERS)
    call: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    shape: list[int] = Field(max_length=32)
    dtype: str = Field(pattern=r"^[\w.<>|=]{1,40}$")


@dataclass(frozen=True, slots=True)
class Bits:
    """One output, the first or a later time that it was compared."""

    name: str
    time: int  # 1 for the first call that had it
    sha256: str
    shape: str
    dtype: str


@dataclass(frozen=True, slots=True)
class OwnDigests:
    """What a program's processes say of its outputs."""

    outputs: tuple[Bits, ...] = ()  # sorted by name
    problem: str = ""  # why there are none, in one line


def environment(work: Path, data: Data, call: HarnessCall, disk_bytes: int, path: str) -> dict[str, str]:
    """Return the variables that have Python load the wrapper, which is copied below `work`; none where none is wanted.

    Args:
        work: The trial's working directory.
        data: What the profile wants.
        call: Where the inputs are kept and taken from.
        disk_bytes: What the trial may write; kept inputs take up at most half of it.
        path: The `PYTHONPATH` that there would be otherwise.
    """
    wanted = data.digests
    if wanted is None:
        return {}
    place = work / _PLACE
    python = place / "python"
    source = Path(wrapper.__file__).parent
    shutil.copytree(source, python / "farm_wrapper", ignore=shutil.ignore_patterns("__pycache__"))
    (python / "farm_wrapper" / "sitecustomize.py").rename(python / "sitecustomize.py")
    frozen = bool(wanted.inputs)
    asked = {
        "file": str(place / "digests.jsonl"),
        "function": wanted.function,
        "argument": wanted.argument,
        "name": wanted.name,
        "inputs": wanted.inputs,
        "inputs_argument": wanted.inputs_argument,
        "save": str(place / "inputs") if frozen and call.save else "",
        "feed": call.replay if frozen else "",
        "most_bytes": disk_bytes // 2,
    }
    return {
        wrapper.VARIABLE: json.dumps(asked),
        "PYTHONPATH": os.pathsep.join(each for each in (str(python), path) if each),
    }


def move_inputs(work: Path, where: Path) -> None:
    """Move the inputs that the program has kept to `where`, which is an empty directory where it has kept none."""
    place = work / _PLACE / "inputs"
    if place.is_dir() and not (place.is_symlink() or place.parent.is_symlink()):
        shutil.move(place, where)
    else:
        where.mkdir()


def read(work: Path, wanted: Digests) -> OwnDigests:
    """Return what the processes of a trial have written below `work`, or why that is nothing."""
    try:
        lines = list(_lines(work / _PLACE / "digests.jsonl"))
    except FileNotFoundError:
        return OwnDigests(problem=f"{wanted.function} was not called")
    except OSError as error:
        return OwnDigests(problem=f"the file of digests cannot be read: {error.strerror}")
    except ValueError as error:
        return OwnDigests(problem=str(error))
    for line in lines:
        if isinstance(line, _Problem):
            return OwnDigests(problem=_printable(line.problem))
    found = _by_time([line for line in lines if isinstance(line, _Bits)])
    if not found:
        return OwnDigests(problem=f"{wanted.function} was given no output")
    return OwnDigests(tuple(_bounded(found)))


def merged(claims: Mapping[str, Claim], told: OwnDigests) -> dict[str, Claim]:
    """Return `claims` with the digests of their outputs; an output that no claim names gets one that is its bits only.

    A file of several programs compares an output of the same name in each; the second time is the second program's.
    """
    found, free = dict(claims), dict.fromkeys(claims)
    for bits in told.outputs:
        name = next((each for each in free if each == bits.name or each.endswith(f"/{bits.name}")), None)
        if name is None:
            name = bits.name if bits.time == 1 else f"{bits.name} (call {bits.time})"
            found.setdefault(name, Claim(passed=True, how="its bits only: what it is compared with is not known"))
        free.pop(name, None)
        claim = found[name]
        shape, dtype = claim.shape or bits.shape, claim.dtype or bits.dtype
        found[name] = replace(claim, shape=shape, dtype=dtype, sha256=bits.sha256, digest_by=BY_PROCESS)
    return found


def _lines(path: Path) -> Iterator[_Line]:
    """The lines of the file, checked. Raises `OSError`, and `ValueError` for what is no such file."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as file:  # noqa: PTH123  # the handle, which no program can exchange any more
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES:
            raise ValueError(f"what the program left as digests is no file of at most {_MOST_BYTES >> 20} MB")
        for number, text in enumerate(iter(lambda: file.readline(_MOST_LINE_BYTES), b""), start=1):
            try:
                yield _line(text)
            except ValueError as error:
                why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else type(error).__name__
                raise ValueError(f"line {number} of the program's digests is none: {why}") from error


def _line(text: bytes) -> _Line:
    line = (_Problem if text.startswith(b'{"problem"') else _Bits).model_validate_json(text)
    if isinstance(line, _Bits) and not line.name.isprintable():
        raise ValueError("its name has control characters")
    return line


def _by_time(lines: list[_Bits]) -> list[Bits]:
    """The outputs, sorted by name and time; what several processes say of one is taken together, in no order."""
    times: Counter[tuple[int, str]] = Counter()
    groups: dict[tuple[str, int], list[_Bits]] = {}
    for line in lines:
        times[line.process, line.name] += 1
        groups.setdefault((line.name, times[line.process, line.name]), []).append(line)
    return [_together(name, time, groups[name, time]) for name, time in sorted(groups)]


def _together(name: str, time: int, said: list[_Bits]) -> Bits:
    digests = sorted(each.sha256 for each in said)
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    shape = f"({', '.join(str(each) for each in said[0].shape)}{',' if len(said[0].shape) == 1 else ''})"
    return Bits(name, time, whole, shape[:_KEPT_CHARACTERS], said[0].dtype)


def _bounded(found: list[Bits]) -> Iterator[Bits]:
    """The first outputs one by one, and the rest as one, so that a difference in any of them shows."""
    yield from found[:_MOST_NAMES]
    if rest := found[_MOST_NAMES:]:
        text = "\n".join(f"{each.name}\0{each.time}\0{each.sha256}" for each in rest)
        digest = hashlib.sha256(text.encode()).hexdigest()
        yield Bits(f"({len(rest):,} further outputs)", 1, digest, "", "")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:_KEPT_CHARACTERS]
