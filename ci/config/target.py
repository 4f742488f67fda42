"""What the pull requests of a repository are judged by: kernels that are installed here, and suites."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ci.config.secrets import loading, wrong
from ci.config.section import Section, require_cases
from farm.errors import UsageError
from farm.harness import workflows
from jobs.records import Record
from kernel.errors import KernelLayerError
from kernel.harness import profiles
from kernel.registry import kernel_names, platform_names

EVERY = "*"  # in place of a kernel: each one that is installed here and that a commit has

TargetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class Target(Record):
    """One kernel or suite as it is to be run, with every value it takes."""

    name: TargetName
    kernel: str = ""  # either this
    suite: str = ""  # or this: name of a shipped profile, or the path of one
    cases: list[str] = Field(default_factory=list)  # of the kernel; empty: its own choice
    files: list[str] = Field(default_factory=list)  # of the suite, as globs; empty: the profile's
    workflow: str = ""  # task or workflow of the suite's profile; empty: every target
    paths: list[str] = Field(default_factory=list)  # further files that its run exercises, as git's globs
    platform: str
    devices: int
    repeats: int
    witnesses: int = 0  # of a suite's file: devices of different cards that each repeat it; 0: whichever is free
    optional: bool = False  # left out of a commit that does not have it


class Judge(Section):
    """The keys by which a table names one kernel or one suite."""

    kernel: str = ""
    suite: str = ""
    cases: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    workflow: str = ""
    paths: list[str] = Field(default_factory=list)
    witnesses: int = Field(default=0, ge=0, le=1024)

    @field_validator("kernel")
    @classmethod
    def _kernel_exists(cls, kernel: str) -> str:
        if kernel not in kernel_names():
            raise wrong(f"no such kernel; installed are: {', '.join(kernel_names()) or 'none'}")
        return kernel

    @field_validator("suite")
    @classmethod
    def _suite_is_readable(cls, suite: str, info: ValidationInfo) -> str:
        """A path begins where `farm.toml` is: the profile lies on the trusted side, never in the repository."""
        if profiles.is_path(suite):
            suite = str((Path(loading(info)["directory"]) / suite).resolve())
        try:
            profiles.find(suite)
        except KernelLayerError as error:
            raise wrong(" ".join(str(error).split())) from error
        return suite

    @field_validator("cases")
    @classmethod
    def _cases_exist(cls, cases: list[str], info: ValidationInfo) -> list[str]:
        if cases and info.data.get("kernel", EVERY) not in ("", EVERY):  # an unknown kernel is a problem of its own
            require_cases(info.data["kernel"], cases)
        return cases

    @field_validator("files")
    @classmethod
    def _files_stay_below_the_repository(cls, files: list[str]) -> list[str]:
        for pattern in files:
            if not pattern or pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
                raise wrong(f"'{pattern}' is no glob below the repository; write for example models/**/*.py")
        return [f"{pattern}/*" if pattern.endswith("**") else pattern for pattern in files]

    @field_validator("workflow")
    @classmethod
    def _workflow_exists(cls, workflow: str, info: ValidationInfo) -> str:
        if suite := info.data.get("suite"):  # an unknown suite is a problem of its own
            try:
                workflows.tasks_of(profiles.find(suite), workflow)
            except UsageError as error:
                raise wrong(str(error)) from error
        return workflow

    def _require_one(self, kinds: int, of: str) -> None:
        if kinds != 1:
            raise wrong(f"takes exactly one of {of}")
        if self.cases and self.kernel in ("", EVERY):
            raise wrong("cases belong to one kernel; remove them, or set kernel")
        if self.files and not self.suite:
            raise wrong("files belong to a suite; remove them, or set suite")
        if self.workflow and not self.suite:
            raise wrong("a workflow belongs to a suite; remove it, or set suite")
        if self.witnesses and not self.suite:
            raise wrong("witnesses belong to a suite; a kernel's cases run on every device. Remove them")


class TargetSection(Judge):
    """One entry of `targets`."""

    name: TargetName | None = None  # None: the name of the kernel, or the one in the profile
    platform: str | None = None  # None, here and below: as the repository says
    devices: int | None = Field(default=None, ge=1, le=1024)
    repeats: int | None = Field(default=None, ge=1, le=1000)

    @field_validator("kernel")
    @classmethod
    def _kernel_exists(cls, kernel: str) -> str:
        return kernel if kernel == EVERY else super()._kernel_exists(kernel)

    @model_validator(mode="after")
    def _is_one_thing(self) -> TargetSection:
        self._require_one(bool(self.kernel) + bool(self.suite), "kernel and suite")
        if self.kernel == EVERY and self.name:
            raise wrong('kernel = "*" takes no name; each kernel has its own')
        return self


def targets_of(entry: Judge, name: str | None, platform: str, devices: int, repeats: int) -> list[Target]:
    """Return what `entry` names: one target, or one for each installed kernel."""
    terms: dict[str, Any] = {"paths": entry.paths, "platform": platform, "devices": devices, "repeats": repeats}
    if entry.suite:
        return [
            Target(
                name=name or _named(entry.suite),
                suite=entry.suite,
                files=entry.files,
                workflow=entry.workflow,
                witnesses=entry.witnesses,
                **terms,
            )
        ]
    if entry.kernel == EVERY:
        return [Target(name=each, kernel=each, optional=True, **terms) for each in kernel_names()]
    return [Target(name=name or entry.kernel, kernel=entry.kernel, cases=entry.cases, **terms)]


def kernel_of(targets: Sequence[Target], name: str) -> Target:
    """Return the one kernel among `targets`, or the one named `name`. Raises `LookupError`, which says what to do."""
    known = [each for each in targets if each.kernel and name in ("", each.name)]
    if len(known) == 1:
        return known[0]
    names = ", ".join(each.name for each in targets if each.kernel) or "none"
    raise LookupError(f"{'no kernel ' + name if name else 'not one kernel'}; set target to one of: {names}")


def platforms_for(target: Target) -> list[str]:
    """Return the names of the platforms that `target` can be run on."""
    return sorted(profiles.find(target.suite).platforms) if target.suite else list(platform_names())


@lru_cache(maxsize=128)
def _named(suite: str) -> str:
    return profiles.find(suite).name
