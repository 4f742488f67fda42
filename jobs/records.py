"""The records a job takes and returns. They cross process boundaries and files, so they are pydantic models.

A record is a value: a trial returns its record and writes to no store.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    GetPydanticSchema,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from jobs.visible_text import made_visible
from kernel.clock import Clock, is_time
from kernel.platforms.protocol import ModeTime


def time_or_none(value: Any, read: ValidatorFunctionWrapHandler) -> float | None:
    """A time, or None for what is none: so a NaN in an old store is read as a run without a time."""
    us: float | None = read(value)
    return us if us is not None and is_time(us) else None


def _only_valid(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """`value` without the entries that are no valid records: an old store may hold times that are none."""
    try:
        return read(value)
    except ValidationError:
        if isinstance(value, dict):
            return read({name: each for name, each in value.items() if _is_valid({name: each}, read)})
        if isinstance(value, (list, tuple)):
            return read([each for each in value if _is_valid([each], read)])
        raise


def _is_valid(value: Any, read: ValidatorFunctionWrapHandler) -> bool:
    try:
        read(value)
    except ValidationError as error:
        if any(problem["type"] in ("missing", "extra_forbidden") for problem in error.errors()):
            raise  # another form of record, and no matter of its numbers
        return False
    return True


TimeUs = Annotated[float | None, WrapValidator(time_or_none)]


class Record(BaseModel):
    """Immutable, and strict about unknown fields: a misspelt field is an error, not silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(str, enum.Enum):
    """Whose fault a failure is."""

    KERNEL = "kernel"
    DEVICE = "device"
    NODE = "node"
    FARM = "farm"


class TrialStatus(str, enum.Enum):
    """How one trial ended."""

    OK = "ok"  # it ran and was measured; whether its numbers pass is for the gates
    FAILED = "failed"  # the kernel's fault: compile error, unwritten output, changed input
    ERRORED = "errored"  # the device's, node's or farm's fault


class Arm(str, enum.Enum):
    """Which of the programs of a run a trial is of, and to what end."""

    HEAD = "head"  # the one under test
    BASE = "base"  # the merge base's, timed in turn with it
    CONTROL = "control"  # the head's again, on other inputs


class Failure(Record):
    """Why a build or trial has no measurement."""

    fault: Fault
    kind: str  # short slug: "compile", "unwritten-output", "input-changed", "hang", "worker-died", …
    message: str  # one line for a person
    log: str = ""  # path relative to the run's directory

    _printable = field_validator("message", mode="before")(made_visible)


class TrialRequest(Record):
    """What to validate; the part of a run that decides the content address of its build."""

    kernel: str
    case: str
    platform: str
    tuning: dict[str, str] = Field(default_factory=dict)  # overrides, as typed: key → value
    input_set: str
    seed: int = 0
    tree: str = ""  # content address of the tree the program comes from; "" for the installed program
    arm: Arm = Arm.HEAD


class TaskRecord(Record):
    """One task as it ran on one core."""

    name: str
    stage: str
    core: str
    start_us: FiniteFloat
    duration_us: FiniteFloat
    after: list[str] = Field(default_factory=list)  # names of the tasks whose results it needs, where known

    _printable = field_validator("name", "stage", "core", mode="before")(made_visible)


class ErrorHistogramRecord(Record):
    """How many elements have |error| / bound in (edge before, edge]; the last count is of all above, NaN and Inf."""

    edges: list[float]
    counts: list[int]  # one more than edges


class NeighbourhoodRecord(Record):
    """The elements around the worst one along the last axis."""

    first: int  # last index of the first of them
    actual: list[float | None]  # None for NaN and Inf
    expected: list[float]


class ToleranceRecord(Record):
    """How one output compares with what was expected of it."""

    passed: bool
    reference: str  # "golden" (end to end) or "staged" (from the run's own intermediate outputs)
    outlier_share: float
    allowed_outlier_share: float
    max_abs_err: float | None  # None where NaN or Inf makes it meaningless
    max_rel_err: float | None
    worst_index: list[int]
    worst_actual: float | None
    worst_expected: float | None
    nonfinite: int  # NaN or Inf elements in the output
    offenders: list[list[int]] = Field(default_factory=list)  # indices of the first few outliers
    problem: str = ""  # wrong shape or dtype, in words; "" where comparable
    errors: ErrorHistogramRecord | None = None
    around_worst: NeighbourhoodRecord | None = None


class OutputRecord(Record):
    """One output of one trial."""

    sha256: str  # of the raw bytes, so that −0 and NaN payloads count
    shape: list[int]
    dtype: str
    tolerance: ToleranceRecord


class ClaimRecord(Record):
    """What a program that compares its outputs itself says of one of them; the farm has not seen the numbers."""

    passed: bool
    shape: str = ""  # as it prints it, "(128, 512)"
    dtype: str = ""
    how: str = ""  # how it compared, in its own words
    wrong: int | None = None  # elements, where it counts them
    total: int | None = None
    max_abs_err: float | None = None
    first: str = ""  # the first wrong element: index, what stands there, what should
    detail: str = ""  # the first lines of what it says about a mismatch
    sha256: str = ""  # of the output's bits, "" where they are not known
    digest_by: Literal["", "file", "process"] = ""  # taken by the farm of a kept file, or by the program itself
    whole: bool = False  # about a whole program or test, which has no bits of its own

    _printable = field_validator("shape", "dtype", "how", "first", "detail", mode="before")(made_visible)


class ModeTimeRecord(Record):
    """What a program that times itself says of one of its modes, in µs.

    On a functional simulator, whose trials have `simulator_us`, it is the host's CPU time as well.
    """

    rounds: int
    min_us: float
    median_us: float
    mean_us: float
    max_us: float
    outliers: int = 0  # among the rounds, where each was printed; they are in the figures above as all others are
    outliers_us: list[float] = Field(default_factory=list)  # those farthest from the median

    @model_validator(mode="after")
    def _require_times(self) -> ModeTimeRecord:
        problem = ModeTime(self.rounds, self.min_us, self.median_us, self.mean_us, self.max_us).problem
        if problem:
            raise ValueError(problem)
        return self


class BuildRecord(Record):
    """One build, by content address."""

    address: str  # SHA-256 over sources, tuning, case, platform and toolchain
    fingerprint: str  # SHA-256 of the compiled program; "" where it did not compile
    case: str
    tuning: dict[str, int | float | bool | str]  # every knob in force
    cached: bool  # True where an earlier build of the same address was reused
    build_s: float  # host seconds the build took when it was made
    predicted_us: float | None = None
    clock: Clock
    failure: Failure | None = None

    _times = field_validator("predicted_us", mode="wrap")(time_or_none)


# A list, or what stands for one: `jobs.packed_tasks`.
Tasks = Annotated[
    Sequence[TaskRecord],
    GetPydanticSchema(lambda _, schema: schema(list[TaskRecord])),
    PlainSerializer(list, return_type=list[TaskRecord]),
]


class TrialRecord(Record):
    """One (case, device, repeat)."""

    case: str
    device: str  # "node/index", the device's id in the run
    repeat: int  # 0-based; warm-ups are not kept
    attempt: int  # 0 for the first try, counted up when an infrastructure fault moved it
    seed: int = 0  # of the inputs
    arm: Arm = Arm.HEAD
    status: TrialStatus
    clock: Clock
    wall_us: float | None = None
    outputs: dict[str, OutputRecord] = Field(default_factory=dict)
    tasks: Tasks = Field(default_factory=list)
    fingerprint: str = ""  # of the program this trial compiled, where the platform compiles per process
    host_s: float = 0.0  # host seconds the whole trial took, never gated
    log: str = ""  # path relative to the run's directory
    failure: Failure | None = None
    claims: dict[str, ClaimRecord] = Field(default_factory=dict)  # by output, where a harness compared, not the farm
    times_us: dict[str, ModeTimeRecord] = Field(default_factory=dict)  # by mode, where a harness timed itself
    simulator_us: float | None = None  # CPU time of a functional simulator: shows that it ran, is never gated
    beside: list[str] = Field(default_factory=list)  # further devices the trial held
    untimed: str = ""  # why a trial of a suite has no time, or a partial recording; it is no budget's sample then
    undigested: str = ""  # why there are no digests of a suite's program that should give them itself

    _times = field_validator("wall_us", "simulator_us", mode="wrap")(time_or_none)
    _valid = field_validator("tasks", "times_us", mode="wrap")(_only_valid)

    def digest(self, output: str) -> str:
        """Return the SHA-256 of `output`, from the farm's comparison or a harness's; "" where there is none."""
        if output in self.outputs:
            return self.outputs[output].sha256
        return self.claims[output].sha256 if output in self.claims else ""


class ProbeRecord(Record):
    """Whether a device is fit for work."""

    device: int
    healthy: bool
    detail: str
    probe_s: float

    _printable = field_validator("detail", mode="before")(made_visible)
