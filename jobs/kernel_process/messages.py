"""What is asked of a kernel's process and what it answers: plain JSON, which the caller reads as data alone."""

from __future__ import annotations

import enum
import errno
from typing import Any

from pydantic import Field

from jobs.records import Record, TimeUs
from jobs.visible_text import plain_values, visible
from kernel.errors import (
    CompileError,
    DeviceError,
    KernelContractError,
    KernelLoadError,
    PlatformUnavailableError,
    TensorError,
    TuningError,
    UnknownNameError,
    UnwrittenOutputError,
    words_of,
)

# Of the machine, and not of one file: another machine may have it.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS}


# How an error is carried: its kind, and the words it is made again from.
_OF_ONE_LINE = {"tuning": TuningError, "tensor": TensorError, "unwritten": UnwrittenOutputError}
_OF_THREE_WORDS = {
    "load": KernelLoadError,
    "contract": KernelContractError,
    "compile": CompileError,
    "unavailable": PlatformUnavailableError,
}


class Question(str, enum.Enum):
    """What a kernel's process is to do."""

    DESCRIBE = "describe"
    TUNING = "tuning"
    HISTORY = "history"
    REFERENCE = "reference"
    EXECUTE = "execute"
    VERIFY = "verify"
    CHECK = "check"


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
    platform: str = ""  # that executes
    inputs: str = ""  # file to read tensors from
    outputs: str = ""  # file to write tensors to
    check: str = ""  # one of `jobs.kernel_process.contract_checks`


class KernelProblem(Record):
    """An exception, as data."""

    kind: str  # "name", "machine", or one of those below
    words: list[str]

    def error(self) -> Exception:
        """The exception it stands for."""
        words = [" ".join(visible(word).split()) for word in self.words]
        if self.kind == "name":
            return UnknownNameError(words[0], words[1], words[2:])
        if self.kind == "machine":
            return OSError(int(words[0]), words[1], *words[2:])
        if self.kind in _OF_ONE_LINE:
            return _OF_ONE_LINE[self.kind](words[0])
        if self.kind == "device":
            return DeviceError(words[0], words[1])
        return _OF_THREE_WORDS.get(self.kind, KernelLoadError)(words[0], words[1], words[2])


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


class StepRecord(Record):
    """One step of a tuning history."""

    name: str
    summary: str
    knobs: list[str]


class HistoryRecord(Record):
    """The tuning history and the tuning space of one case."""

    defaults: dict[str, int | float | bool | str]
    tunings: str  # file
    untuned: dict[str, str]
    steps: list[StepRecord]
    space: dict[str, list[str]]


class PassRecord(Record):
    """One compiler pass, executed again; the fields are those of `kernel.platforms.pass_verify.PassCheck`."""

    number: int
    name: str
    compared: int
    agrees: bool
    max_abs_diff: float
    max_rel_diff: float
    reason: str


class KernelAnswer(Record):
    """What a kernel's process answers."""

    problem: KernelProblem | None = None
    kernel: KernelRecord | None = None
    tuning: dict[str, int | float | bool | str] = Field(default_factory=dict)
    history: HistoryRecord | None = None
    wall_us: TimeUs = None  # of an execution that was timed
    passes: list[PassRecord] = Field(default_factory=list)
    found: str = ""  # by a check, in a few words


def problem_of(error: BaseException, kernel: str, failed: str) -> KernelProblem:
    """`error` as data; `failed` says what it came from where the error itself does not."""
    if isinstance(error, UnknownNameError):
        return KernelProblem(kind="name", words=[error.noun, error.name, *error.known])
    if isinstance(error, KernelLoadError):
        kind = "contract" if isinstance(error, KernelContractError) else "load"
        return KernelProblem(kind=kind, words=[error.name, error.problem, error.remedy])
    for kind, plain in _OF_ONE_LINE.items():
        if isinstance(error, plain):
            return KernelProblem(kind=kind, words=[words_of(error)])
    if isinstance(error, CompileError):
        return KernelProblem(kind="compile", words=[error.code, error.operation, error.summary])
    if isinstance(error, DeviceError):
        return KernelProblem(kind="device", words=[error.code, error.summary])
    if isinstance(error, PlatformUnavailableError):
        return KernelProblem(kind="unavailable", words=[error.platform, error.reason, error.remedy])
    if isinstance(error, OSError) and error.errno in _MACHINE:
        named = [str(error.filename)] if error.filename else []
        return KernelProblem(kind="machine", words=[str(error.errno), error.strerror or "", *named])
    if isinstance(error, MemoryError):
        return KernelProblem(kind="machine", words=[str(errno.ENOMEM), f"Cannot allocate memory: {failed}"])
    return KernelProblem(kind="load", words=[kernel, failed, "correct it"])


def numbers_of(values: Any) -> dict[str, int | float | bool | str]:
    """A tuning's knobs by name, each a plain number, truth value or text."""
    return plain_values(values)
