"""A harness profile: one TOML file that tells how an external harness is called and how what it prints is read.

A profile belongs to the trusted installation, as budgets do: it decides what counts as a pass.
"""

from __future__ import annotations

import enum
import re
import string
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from kernel.errors import KernelLayerError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLACEHOLDERS = frozenset({"file", "root", "device", "platform", "workdir", "seed", "data"})


class ProfileError(KernelLayerError):
    """A profile cannot be used: it is not there, not TOML, or one of its values is wrong."""

    def __init__(self, profile: str, problem: str) -> None:
        self.profile = profile
        self.problem = problem
        super().__init__(f"harness profile {profile}: {problem}")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is no regular expression: {error}") from error
    return text


def _template(text: str) -> str:
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise ValueError(f"'{text}': {error}; write {{{{ and }}}} for braces") from error
    if unknown := sorted(names - PLACEHOLDERS):
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
        raise ValueError(f"'{text}' has the unknown placeholder {{{unknown[0]}}}; known: {known}")
    return text


def _below(text: str) -> str:
    if text.startswith("/") or ".." in Path(text).parts:
        raise ValueError(f"'{text}' leaves the working directory; give a path below it")
    return text


def _groups(text: str, wanted: Iterable[str]) -> None:
    if missing := sorted(set(wanted) - set(re.compile(text).groupindex)):
        raise ValueError(f"'{text}' has no group (?P<{missing[0]}>…)")


Pattern = Annotated[str, AfterValidator(_pattern)]
Template = Annotated[str, AfterValidator(_template)]
Below = Annotated[str, AfterValidator(_below)]  # a glob below the trial's working directory


class ProfileSection(BaseModel):
    """A table of the file: immutable, and strict about names, so that a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Files(ProfileSection):
    """Which files of the repository are kernels."""

    include: list[str] = Field(min_length=1)  # globs below the repository's root, for a run that names none
    exclude: list[str] = Field(default_factory=list)  # globs on the path; `*` also matches `/`
    runnable: Pattern = ""  # what a file's text holds where it can be run by itself; "" for all


class Skip(ProfileSection):
    """A mark in a file's head that keeps it from some platforms."""

    mark: Pattern
    platforms: list[str] = Field(min_length=1)
    reason: str


class Markers(ProfileSection):
    """What a file says of itself in its first lines."""

    head_lines: int = Field(default=40, ge=1)
    devices: Pattern = ""  # with a group `devices`: how many devices one trial takes
    skip: list[Skip] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_group(self) -> Markers:
        if self.devices:
            _groups(self.devices, ["devices"])
        return self


class Flag(ProfileSection):
    """Arguments that only some files understand."""

    offered: Pattern  # what the text of a file that understands them holds
    arguments: list[Template] = Field(min_length=1)


class Replay(ProfileSection):
    """How a run's data is kept, and fed to later runs of the same file."""

    offered: Pattern  # what the text of a file that can do both holds
    save: list[Template] = Field(min_length=1)  # arguments that make a run keep its data
    data: Below  # the directory it keeps them in
    use: list[Template] = Field(min_length=1)  # arguments that make a run take them from `{data}`


class Data(ProfileSection):
    """What the runs of one file have in common."""

    seeded: bool = False  # the same seed, or none at all, gives the same inputs
    replay: Replay | None = None
    outputs: list[Below] = Field(default_factory=list)  # files with the program's own outputs, never the goldens


class Timing(str, enum.Enum):
    """What the times a harness prints are."""

    MEASURED = "measured"  # a device's own
    SIMULATED = "simulated"  # a cost model's
    HOST = "host"  # CPU time of a functional simulator: shows that it ran, ranks nothing, is never gated


class ProfilePlatform(ProfileSection):
    """One value of `{platform}`."""

    simulated: bool  # needs no NPU
    clock: Timing  # of the times it prints
    canary: str = ""  # a file of the repository that every fit device passes
    set: dict[str, Template] = Field(default_factory=dict)  # environment of this platform only

    @model_validator(mode="after")
    def _honest(self) -> ProfilePlatform:
        if self.simulated and self.clock is Timing.MEASURED:
            raise ValueError("a simulator's times are not measured; its clock is 'host', or 'simulated' (a cost model)")
        return self


class Environment(ProfileSection):
    """What a harness's process finds in its environment; nothing else of the farm's own gets there."""

    inherit: list[str] = Field(default_factory=lambda: ["PATH", "HOME", "LANG", "LC_*", "TZ"])  # names or globs
    set: dict[str, Template] = Field(default_factory=dict)
    directories: list[Below] = Field(default_factory=list)  # made in the working directory beforehand


class Mismatch(ProfileSection):
    """What follows where outputs are wrong. All patterns are searched in single lines."""

    begin: Pattern = ""  # with a group `names`: the outputs that are wrong, quoted
    output: Pattern = ""  # with a group `name`: the lines that follow are about this one
    count: Pattern = ""  # with groups `wrong` and `total`: elements
    largest: Pattern = ""  # with a group `error`: the largest absolute error
    first: Pattern = ""  # with groups `index`, `actual`, `expected`: one wrong element

    @model_validator(mode="after")
    def _has_groups(self) -> Mismatch:
        wanted = {
            "begin": ["names"],
            "output": ["name"],
            "count": ["wrong", "total"],
            "largest": ["error"],
            "first": ["index", "actual", "expected"],
        }
        for field, names in wanted.items():
            if text := getattr(self, field):
                _groups(text, names)
        return self


class Lines(ProfileSection):
    """How the output is read. All patterns are searched in single lines."""

    passed: Pattern  # the pass line
    unvalidated: Pattern = ""  # in a pass line: it compared nothing, which is no pass
    output: Pattern  # with groups `name` and `verdict` (PASS or not); `shape`, `dtype`, `how` where there are
    outputs_required: bool = True  # a pass that names no output is none
    mode: Pattern = ""  # a line that begins a further program; group `mode` names it, or they are counted
    time: Pattern = ""  # with groups `rounds`, `min`, `median`, `mean`, `max`: µs of the mode under way
    primary_mode: str = ""  # the one whose median is the file's time, where there are several
    mismatch: Mismatch = Field(default_factory=Mismatch)

    @model_validator(mode="after")
    def _has_groups(self) -> Lines:
        _groups(self.output, ["name", "verdict"])
        if self.time:
            _groups(self.time, ["rounds", "min", "median", "mean", "max"])
        return self


class Swimlane(ProfileSection):
    """The task records a run leaves: `l2_perf_records.json`, version 2."""

    records: list[Below] = Field(min_length=1)  # globs; the first that matches counts
    names: list[Below] = Field(default_factory=list)  # `kernel_config.py`: func_id → name and core type


class Signature(ProfileSection):
    """What a failure looks like, and its kind in the farm's table of faults. The first that is seen counts."""

    lines: list[Pattern] = Field(min_length=1)  # any of them; a group `code` is the runtime's error code
    kind: str = Field(min_length=1)  # "device" takes it from the code


class HarnessLimits(ProfileSection):
    """What one run may use."""

    seconds: float = Field(default=600.0, gt=0)
    disk_mb: int = Field(default=4096, ge=1)  # below its working directory
    log_mb: int = Field(default=16, ge=1)  # kept of what it prints: half from the beginning, half from the end
    stop_seconds: float = Field(default=2.0, ge=0)  # between SIGTERM and SIGKILL


class Ceiling(ProfileSection):
    """What a file may take."""

    ceiling_us: float = Field(gt=0)  # of the harness's own median
    source: str = Field(min_length=1)  # where the number comes from


class Profile(ProfileSection):
    """One harness."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    summary: str
    command: list[Template] = Field(min_length=1)  # `{file}` must be in it; no shell reads it
    files: Files
    markers: Markers = Field(default_factory=Markers)
    flags: list[Flag] = Field(default_factory=list)
    platforms: dict[str, ProfilePlatform] = Field(min_length=1)
    environment: Environment = Field(default_factory=Environment)
    lines: Lines
    swimlane: Swimlane | None = None
    data: Data = Field(default_factory=Data)
    signatures: list[Signature] = Field(default_factory=list)
    limits: HarnessLimits = Field(default_factory=HarnessLimits)
    budgets: dict[str, dict[str, Ceiling]] = Field(default_factory=dict)  # platform → file → what it may take
    imports: list[str] = Field(default_factory=lambda: ["."])  # where a file's imports are found, besides beside it
    ignore: list[str] = Field(default_factory=list)  # changes to these paths (globs) concern no kernel

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        if not any("{file}" in word for word in self.command):
            raise ValueError("command names no {file}, so every trial would run the same thing")
        if not any("{device}" in word for word in self.command):
            raise ValueError("command names no {device}, so a lease would decide nothing")
        for each in self.markers.skip:
            if unknown := sorted(set(each.platforms) - set(self.platforms)):
                raise ValueError(f"markers.skip names the unknown platform '{unknown[0]}'")
        for name in self.budgets:
            if name not in self.platforms:
                raise ValueError(f"budgets names the unknown platform '{name}'")
            if self.platforms[name].clock is Timing.HOST:
                raise ValueError(f"budgets.{name}: its times are the host's CPU time, to which nothing can be held")
        return self


def parse(text: str, where: str) -> Profile:
    """The profile in `text`; `where` names it in messages. Raises `ProfileError` with the first problem."""
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(where, f"is not TOML: {error}") from error
    except ValidationError as error:
        problems = error.errors()
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ProfileError(where, _sentence(problems[0]) + more) from error


def _sentence(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    said = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        said = "no such key"
    elif problem["type"] == "missing":
        said = "is missing"
    return f"{key}: {said}" if key else said
