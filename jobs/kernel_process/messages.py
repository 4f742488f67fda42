"""What is asked of a kernel's process and what it answers: plain JSON, which the caller reads as data alone."""

from __future__ import annotations

import enum
import errno
from typing import Any

from pydantic import Field

from jobs.records import Record
from jobs.visible_text import plain_values, visible
from kernel.errors import KernelContractError, KernelLoadError, TuningError, UnknownNameError, words_of

# Of the machine, and not of one file: another machine may have it.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS}


class Question(str, enum.Enum):
    """What a kernel's process is to do."""

    DESCRIBE = "describe"
    TUNING = "tuning"
    REFERENCE = "reference"


class KernelQuestion(Record):
    """One question to a kernel."""

    question: Question
    kernel: str  # its name, or its file and attribute
    path: list[str]  # where modules are searched
    answer: str  # file
    case: str = ""
    overrides: dict[str, str] = Field(default_factory=dict)
    input_set: str = ""
    seed: int = 0
    cache: str = ""
    seeded: bool = False  # refuse inputs that do not depend on the seed


class KernelProblem(Record):
    """An exception, as data."""

    kind: str  # "name", "load", "contract", "tuning" or "machine"
    words: list[str]

    def error(self) -> Exception:
        """The exception it stands for."""
        words = [" ".join(visible(word).split()) for word in self.words]
        if self.kind == "name":
            return UnknownNameError(words[0], words[1], words[2:])
        if self.kind == "tuning":
            return TuningError(words[0])
        if self.kind == "machine":
            return OSError(int(words[0]), words[1], *words[2:])
        return (KernelContractError if self.kind == "contract" else KernelLoadError)(words[0], words[1], words[2])


class SpecRecord(Record):
    """One operand."""

    name: str
    shape: list[int]
    dtype: str  # "torch.bfloat16"


class CaseRecord(Record):
    """One case, and what the kernel says of it."""

    name: str
    summary: str
    dims: dict[str, int]
    inputs: list[SpecRecord] = Field(default_factory=list)
    outputs: list[SpecRecord] = Field(default_factory=list)
    specs_problem: KernelProblem | None = None  # instead of `inputs` and `outputs`
    tuning: dict[str, int | float | bool | str] = Field(default_factory=dict)
    tuning_problem: KernelProblem | None = None  # instead of `tuning`


class KernelRecord(Record):
    """A kernel, described."""

    name: str
    summary: str
    default_case: str
    cases: dict[str, CaseRecord]
    input_sets: dict[str, str]
    tolerances: dict[str, list[float]]  # atol, rtol, outlier share
    sources: list[str]
    budgets: str
    rules: list[str] | None = None  # patterns of the files that judge the kernel; None for the usual ones


class KernelAnswer(Record):
    """What a kernel's process answers."""

    problem: KernelProblem | None = None
    kernel: KernelRecord | None = None
    tuning: dict[str, int | float | bool | str] = Field(default_factory=dict)


def problem_of(error: BaseException, kernel: str, failed: str) -> KernelProblem:
    """`error` as data; `failed` says what it came from where the error itself does not."""
    if isinstance(error, UnknownNameError):
        return KernelProblem(kind="name", words=[error.noun, error.name, *error.known])
    if isinstance(error, KernelLoadError):
        kind = "contract" if isinstance(error, KernelContractError) else "load"
        return KernelProblem(kind=kind, words=[error.name, error.problem, error.remedy])
    if isinstance(error, TuningError):
        return KernelProblem(kind="tuning", words=[words_of(error)])
    if isinstance(error, OSError) and error.errno in _MACHINE:
        named = [str(error.filename)] if error.filename else []
        return KernelProblem(kind="machine", words=[str(error.errno), error.strerror or "", *named])
    if isinstance(error, MemoryError):
        return KernelProblem(kind="machine", words=[str(errno.ENOMEM), f"Cannot allocate memory: {failed}"])
    return KernelProblem(kind="load", words=[kernel, failed, "correct it"])


def numbers_of(values: Any) -> dict[str, int | float | bool | str]:
    """A tuning's knobs by name, each a plain number, truth value or text."""
    return plain_values(values)
