"""The tables of a harness profile, each checked by itself. `kernel.harness.profile` puts them together."""

from __future__ import annotations

import enum
import re
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# `device`: physical ids, "4,5,6,7"; `range`: the same as "4-7"; `index`: their places where a variable makes only them
# visible and renumbers them, "0,1,2,3".
PLACEHOLDERS = frozenset({"file", "root", "device", "range", "index", "platform", "workdir", "seed", "data"})
DEVICES = frozenset({"device", "range"})  # any of them names the leased devices


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is no regular expression: {error}") from error
    return text


def _template(text: str) -> str:
    try:
        names = placeholders(text)
    except ValueError as error:
        raise ValueError(f"'{text}': {error}; write {{{{ and }}}} for braces") from error
    if unknown := sorted(names - PLACEHOLDERS):
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
        raise ValueError(f"'{text}' has the unknown placeholder {{{unknown[0]}}}; known: {known}")
    return text


def placeholders(text: str) -> set[str]:
    """Return the names of the placeholders in a template."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


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
    """An optional argument that only some files take. Each file is asked with `--help`."""

    option: str = Field(pattern=r"^--?[A-Za-z][\w-]*$")
    values: list[str] = Field(default_factory=list)  # where a file takes one: the first that it accepts


class Timing(str, enum.Enum):
    """What the times a harness prints are."""

    MEASURED = "measured"  # a device's own
    SIMULATED = "simulated"  # a cost model's
    HOST = "host"  # CPU time of a functional simulator: shows that it ran, ranks nothing, is never gated


class HarnessLimits(ProfileSection):
    """What one run may use."""

    seconds: float = Field(default=600.0, gt=0)
    disk_mb: int = Field(default=4096, ge=1)  # below its working directory
    log_mb: int = Field(default=16, ge=1)  # kept of what it prints: half from the beginning, half from the end
    stop_seconds: float = Field(default=2.0, ge=0)  # between SIGTERM and SIGKILL


class LimitChanges(ProfileSection):
    """The limits of a platform that differ from the profile's."""

    seconds: float | None = Field(default=None, gt=0)
    disk_mb: int | None = Field(default=None, ge=1)
    log_mb: int | None = Field(default=None, ge=1)
    stop_seconds: float | None = Field(default=None, ge=0)


class ProfilePlatform(ProfileSection):
    """One value of `{platform}`."""

    simulated: bool  # needs no NPU
    clock: Timing  # of the times it prints
    canary: str = ""  # a file of the repository that every fit device passes
    set: dict[str, Template] = Field(default_factory=dict)  # environment of this platform only
    include: list[str] = Field(default_factory=list)  # globs instead of `files.include`
    exclude: list[str] = Field(default_factory=list)  # globs besides `files.exclude`
    limits: LimitChanges = Field(default_factory=LimitChanges)  # that differ from the profile's

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

    passed: Pattern = ""  # the pass line
    unvalidated: Pattern = ""  # in a pass line: it compared nothing, which is no pass
    output: Pattern = ""  # with groups `name` and `verdict`; `shape`, `dtype`, `how` where there are
    passing: Pattern = "^PASS$"  # what the group `verdict` holds where the output is right
    outputs_required: bool = True  # a pass that names no output is none
    mode: Pattern = ""  # a line that begins a further program; group `mode` names it, or they are counted
    mode_name: Pattern = ""  # with a group `mode`: a line that names the program that begins next
    # A line with times of the mode under way. Groups: `us`, one sample; or `samples`, a list of them; or the
    # `statistic`, with `min`, `median`, `mean`, `max` and `rounds` where they are printed.
    time: Pattern = ""
    unit: Literal["ns", "us", "ms", "s"] = "us"  # of these times
    rounds: int | None = Field(default=None, ge=1)  # that the printed statistic is of, where no line says it
    statistic: Literal["median", "mean"] = "median"  # of the printed time, which is the file's
    primary_mode: str = ""  # the one whose median is the file's time, where there are several
    mismatch: Mismatch = Field(default_factory=Mismatch)

    @model_validator(mode="after")
    def _has_groups(self) -> Lines:
        if self.output:
            _groups(self.output, ["name", "verdict"])
        if self.time and not {"us", "samples"} & set(re.compile(self.time).groupindex):
            _groups(self.time, [self.statistic] if self.rounds else [self.statistic, "rounds"])
        if self.mode_name:
            _groups(self.mode_name, ["mode"])
        return self


class Swimlane(ProfileSection):
    """The task records a run leaves: `l2_perf_records.json` or `chip_swimlane_records.json`, on each of its chips."""

    records: list[Below] = Field(min_length=1)  # globs
    names: list[Below] = Field(default_factory=list)  # `kernel_config.py`, `name_map_*.json`: func_id → name
    losses: Pattern = ""  # a line in which the collector counts what it lost: the recording is partial


class Signature(ProfileSection):
    """What a failure looks like, and its kind in the farm's table of faults. The first in order that was seen counts.

    Every profile also has those of `kernel.harness.signatures`, after its own but before those that are `last`.
    """

    lines: list[Pattern] = Field(min_length=1)  # any of them; a group `code` is the runtime's error code
    also: Pattern = ""  # a second line that must be seen, before or after
    kind: str = Field(min_length=1)  # "device" takes it from the code
    last: bool = False  # counts only where nothing of the machine's or the device's was seen


class Ceiling(ProfileSection):
    """What a file may take."""

    ceiling_us: float = Field(gt=0)  # of the harness's own median
    source: str = Field(min_length=1)  # where the number comes from
