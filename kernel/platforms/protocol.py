"""What every platform promises. The contract test in `tests/kernel/platforms/test_contract.py` holds each one to it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from kernel.clock import Clock, HostUs, WallTime, is_time
from kernel.errors import NotATimeError
from kernel.outliers import outliers
from kernel.spec import Kernel, Tensors, Tuning

# What a build or run leaves in the directory it is given, besides whatever else helps a person.
LOG_NAME = "platform.log"  # everything printed meanwhile, native code and child processes included
TRACE_NAME = "trace.json.gz"  # the run's tasks as Chrome trace events, compressed; Perfetto opens it as it is

_MOST_OUTLIERS = 20  # that are named of one mode
PRINTED_PRECISION = 1e-3  # relative: a mean that is printed with few digits may be rounded past the maximum


@dataclass(frozen=True, slots=True)
class Missing:
    """Something this platform needs and does not find here."""

    what: str  # "cmake"
    why: str  # "builds PyPTO's host calculator"
    remedy: str  # "apt-get install cmake"


@dataclass(frozen=True, slots=True)
class Task:
    """One task of the compiled program as it ran on one core."""

    name: str
    stage: str  # semantic label of the source, "" where the program gave none
    core: str  # "AIC_3" (cube) or "AIV_17" (vector)
    start_us: float
    duration_us: float
    after: tuple[str, ...] = ()  # names of the tasks whose results it needs, where the platform knows them

    def __post_init__(self) -> None:
        """Raise `NotATimeError` where start and duration are no points in time: NaN would vanish in a maximum."""
        if not (math.isfinite(self.start_us) and math.isfinite(self.duration_us) and self.duration_us >= 0):
            raise NotATimeError(
                f"task '{self.name}' starts at {self.start_us!r} µs and takes {self.duration_us!r} µs; "
                "both are finite, and no task takes less than 0"
            )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a program that compares its outputs itself says of one of them. The farm has not seen the numbers."""

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
    digest_by: str = ""  # who took that: "file" (the farm, of a file the run kept) or "process" (the program itself)
    whole: bool = False  # about a whole program or test, which has no bits of its own


@dataclass(frozen=True, slots=True)
class ModeTime:
    """What a program that times itself says of one of its modes."""

    rounds: int
    min_us: float
    median_us: float
    mean_us: float
    max_us: float
    outliers: int = 0  # among the rounds, where each was printed
    outliers_us: tuple[float, ...] = ()  # those farthest from the median; like all others they count

    @classmethod
    def of(cls, samples: Sequence[float]) -> ModeTime:
        """Return the times of rounds that are known one by one."""
        centre = statistics.median(samples)
        odd = sorted((samples[place] for place in outliers(samples)), key=lambda us: -abs(us - centre))
        spread = min(samples), centre, statistics.fmean(samples), max(samples)
        return cls(len(samples), *spread, len(odd), tuple(odd[:_MOST_OUTLIERS]))

    @property
    def problem(self) -> str:
        """Why these are no times of one mode, in words; "" where they are."""
        shown = f"{self.rounds} rounds, min {self.min_us} median {self.median_us} mean {self.mean_us} max {self.max_us}"
        if self.rounds < 1:
            return f"{shown}: a time is of at least one round"
        if not all(map(is_time, (self.min_us, self.median_us, self.mean_us, self.max_us))):
            return f"{shown}: a time is finite and above 0"
        slack = 1 + PRINTED_PRECISION
        low, high = self.min_us / slack, self.max_us * slack
        if not (low <= self.median_us <= high and low <= self.mean_us <= high):
            return f"{shown}: median and mean are within minimum and maximum"
        return ""


@dataclass(frozen=True, slots=True)
class Execution:
    """What one run of a program yields besides its filled outputs."""

    wall: WallTime | None  # None where the platform measures none
    tasks: tuple[Task, ...]
    fingerprint: str = ""  # of the program this run compiled, where the platform compiles for every run
    claims: Mapping[str, Claim] = field(default_factory=dict)  # by output, from a program that judges itself
    times: Mapping[str, ModeTime] = field(default_factory=dict)  # by mode, from a program that times itself
    host: HostUs | None = None  # instead of `wall`, from a functional simulator
    untimed: str = ""  # why there is no time, or only a partial recording, of a program that runs by itself
    undigested: str = ""  # why there are no digests of a program that should give them itself


@dataclass(frozen=True, slots=True)
class Built:
    """What a build leaves behind."""

    fingerprint: str  # SHA-256 of the compiled program, equal for equal programs in every process
    wall: WallTime | None  # the predicted time, where the platform predicts one at build time
    tasks: tuple[Task, ...] = ()
    tuning: Mapping[str, int | float | bool | str] | None = None  # in force, where only building tells


@dataclass(frozen=True, slots=True)
class Needs:
    """What a confined program under a platform must have of this machine besides the system and Python."""

    cache: tuple[str, ...] = ()  # names below the cache directory that `prepare` has made, to be read only
    devices: tuple[Path, ...] = ()  # device nodes, to read and write; the same path inside
    variables: Mapping[str, str] = field(default_factory=dict)  # of the environment
    read: tuple[Path, ...] = ()  # files and directories of a toolchain outside the system's; the same path inside
    python: tuple[Path, ...] = ()  # directories of the toolchain's Python modules, searched after all others


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a device is fit for work."""

    healthy: bool
    detail: str  # what was tried and what came back, one line


class Platform(Protocol):
    """How a kernel is built and run. An instance lives in one process and works on one device at a time."""

    name: str
    clock: Clock
    noisy: bool  # True where repeats of the same program differ in time

    def missing(self) -> list[Missing]:
        """What is not here and must be before this platform can run; empty when it can."""
        ...

    def toolchain(self) -> dict[str, str]:
        """Versions of everything that can change a number: part of a build's content address and of every report."""
        ...

    def soc(self, device: int) -> str:
        """The chip behind device `device`, for example `Ascend910B1 (cost model)`."""
        ...

    def card(self, device: int) -> str:
        """The physical card that carries device `device`; two devices of one card are one witness, not two."""
        ...

    def prepare(self, cache: Path) -> None:
        """Make this process ready (load libraries, build what is built once into `cache`). Idempotent."""
        ...

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        """Compile. Writes logs and artefacts below `directory`. Raises `CompileError`."""
        ...

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Run once on `device`, filling every tensor of `outputs` in place and leaving `inputs` as they are.

        Leaves `LOG_NAME` and `TRACE_NAME` in `directory`. Raises `CompileError` (the kernel's fault) or `DeviceError`
        (the device's).
        """
        ...

    def probe(self, device: int, directory: Path) -> Probe:
        """Run a known small program on `device` and check its answer."""
        ...


@runtime_checkable
class Confinable(Protocol):
    """A platform whose programs need something of the machine when they run in a sandbox."""

    def needs(self, device: int | None) -> Needs:
        """What a program on `device` needs; None for a build, which may use whatever this process is given."""
        ...


@runtime_checkable
class Identified(Protocol):
    """A platform whose devices are things that can be moved from one slot or machine to another."""

    def identity(self, device: int) -> str:
        """Return the identity of device `device`, the same in every slot; "" where it is unknown."""
        ...


@runtime_checkable
class BuiltOnce(Protocol):
    """A platform with something that is built once on each machine, and takes a minute or more."""

    def unbuilt(self, cache: Path) -> str:
        """What has yet to be built into `cache`, in a few words; "" where nothing has."""
        ...

    def build_once(self, cache: Path) -> None:
        """Build it. Waits where another process is at it. Raises `PlatformUnavailableError`."""
        ...


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a cost model makes of a compiled program."""

    fingerprint: str
    tasks: tuple[Task, ...]


@runtime_checkable
class Resimulated(Protocol):
    """A platform whose times can be computed again from a compiled program, by a process that has none of its code."""

    graph: str  # name of the file with the compiled program that `build` and `run` leave in their directory
    simulator: str  # "module:function", called with that file and a directory to write to; returns `Simulated`

    def hand_over_graph(self) -> None:
        """Have `build` and `run` leave the compiled program, which takes a moment."""
        ...


@runtime_checkable
class Recorded(Protocol):
    """A platform that leaves a raw recording of its times, to hold against what a foreign program says of them."""

    recording: str  # name of the file `build` and `run` leave in their directory

    def read_recording(self, path: Path) -> tuple[Task, ...]:
        """The tasks in a recording. Raises `ValueError`, `KeyError` or `TypeError` for one that is none."""
        ...

    def floor_us(self, written_bytes: int) -> float:
        """A time below which no program can write that much."""
        ...
