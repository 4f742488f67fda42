"""What a confined program is given and what it may answer: JSON and safetensors, both checked by their reader.

The answer comes from a process that hostile code may have taken over. It is plain data, bounded in size, and nothing in
it is executed, unpickled or taken for a path.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, FiniteFloat, StringConstraints, ValidationError

from jobs.records import Record

MAX_ANSWER_BYTES = 64 << 20
_MAX_TASKS = 500_000

_Word = Annotated[str, StringConstraints(max_length=200)]
_Line = Annotated[str, StringConstraints(max_length=4000)]
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class SandboxAction(str, enum.Enum):
    """What the confined process is to do."""

    BUILD = "build"
    RUN = "run"
    SIMULATE = "simulate"  # have a cost model time a compiled program; nothing of a commit is loaded


class SandboxOrder(Record):
    """What the confined process is to do. Every path is as that process sees it."""

    action: SandboxAction
    platform: str  # "module:class", from the installation; of a simulation "module:function"
    kernel: str  # "module:attribute", from the tree
    module: str  # the module or package that comes from the tree; everything else comes from the installation
    place: Path  # its file or directory
    case: str
    overrides: dict[str, str]
    device: int
    cache: Path  # what `Platform.prepare` gets
    shared_cache: Path | None  # what others have prepared there already, to be read only
    directory: Path  # what the platform may write to
    operands: Path  # safetensors, `input/NAME` and `output/NAME`; empty for a build
    outputs: Path
    answer: Path
    log: Path
    recording: Path | None  # where a copy of the platform's own recording goes
    graph: Path | None = None  # where the compiled program goes as data; of a simulation, where it is read
    uid: int | None  # whose id to take on; None to stay
    groups: list[int]  # those of the device nodes it may use, where it takes on an id
    python: list[Path]  # where a toolchain has modules of its own, after all others
    file_bytes: int  # the largest file it may write
    open_files: int  # of each of its processes
    cpu_s: int  # of processor time for each of its processes
    address_bytes: int  # of memory each of its processes may map
    processes: int | None  # of its user, threads counted; None for no limit


class Complaint(str, enum.Enum):
    """Why there is no result, in the classes that the farm distinguishes."""

    COMPILE = "compile"
    TUNING = "tuning"
    TENSOR = "tensor"
    NO_CASE = "no-case"  # the program does not know the case
    DEVICE = "device"
    PLATFORM = "platform"  # the platform cannot run here
    RAISED = "raised"  # anything else


class SandboxProblem(Record):
    """An error of the confined process."""

    complaint: Complaint
    message: _Line
    code: _Word = ""
    operation: _Word = ""


class AnsweredTask(Record):
    """As `kernel.platforms.protocol.Task`."""

    name: _Word
    stage: _Word
    core: _Word
    start_us: FiniteFloat
    duration_us: Annotated[FiniteFloat, Field(ge=0)]


class SandboxAnswer(Record):
    """What the confined process says of its work."""

    problem: SandboxProblem | None = None
    wall_us: Annotated[FiniteFloat, Field(gt=0)] | None = None
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,64}$")] = ""
    tuning: Annotated[dict[_Word, bool | int | FiniteFloat | _Word], Field(max_length=1000)] = Field(
        default_factory=dict
    )
    changed_inputs: Annotated[list[_Word], Field(max_length=1000)] = Field(default_factory=list)
    tasks: Annotated[list[AnsweredTask], Field(max_length=_MAX_TASKS)] = Field(default_factory=list)


class BadAnswerError(ValueError):
    """An answer that is missing, too long, or not of the one form answers have."""


def read_answer(path: Path) -> SandboxAnswer:
    """The answer in `path`. Raises `BadAnswerError`."""
    size = path.stat().st_size
    if size == 0:
        raise BadAnswerError("the program ended without an answer")
    if size > MAX_ANSWER_BYTES:
        raise BadAnswerError(f"the program's answer has {size} bytes; at most {MAX_ANSWER_BYTES} are read")
    try:
        return SandboxAnswer.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise BadAnswerError(f"the program's answer is not in the form of one: {where}: {first['msg']}") from error


def plain(text: str) -> str:
    """Foreign text as one line without control characters, for a message that people see."""
    line = " ".join(_ANSI.sub("", text).split())
    return "".join(character if character.isprintable() else "?" for character in line)
