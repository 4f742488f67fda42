"""A harness profile: one TOML file that describes how an external harness is called and how its output is read.

A profile belongs to the trusted installation, as budgets do: it decides what counts as a pass.
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from kernel.errors import KernelLayerError
from kernel.harness.profile_data import Data, Digests, Replay
from kernel.harness.profile_keys import unknown_key
from kernel.harness.profile_results import PerFile, Results, TimeFile, Tool, Variant
from kernel.harness.profile_rules import Rules
from kernel.harness.profile_sandbox import Sandbox
from kernel.harness.profile_sections import (
    DEVICES,
    Ceiling,
    Environment,
    Files,
    Flag,
    HarnessLimits,
    Lines,
    Markers,
    ProfilePlatform,
    ProfileSection,
    Signature,
    Swimlane,
    Template,
    Timing,
    placeholders,
)
from kernel.harness.profile_setup import Setup, require_apart
from kernel.harness.profile_workflows import SuiteTask, SuiteWorkflow, require_consistent

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Ceiling",
    "Data",
    "Digests",
    "Lines",
    "Profile",
    "ProfileError",
    "Replay",
    "Signature",
    "Swimlane",
    "Timing",
    "parse",
]


class ProfileError(KernelLayerError):
    """A profile cannot be used: it is not there, not TOML, or one of its values is wrong."""

    def __init__(self, profile: str, problem: str) -> None:
        self.profile = profile
        self.problem = problem
        super().__init__(f"harness profile {profile}: {problem}")


class Profile(ProfileSection):
    """One harness."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    summary: str
    written_against: str = ""  # repository, commit and date of what the facts in here are taken from
    command: list[Template] = Field(min_length=1)  # `{file}` must be in it; no shell reads it
    directory: Template = (
        "{workdir}"  # where it runs: a private directory, or "{root}" where it must be the repository's
    )
    toolchain: list[Tool] = Field(default_factory=list)
    setup: Annotated[list[Setup], AfterValidator(require_apart)] = Field(default_factory=list)  # in their order
    files: Files
    variants: list[Variant] = Field(default_factory=list)
    per_file: list[PerFile] = Field(default_factory=list)  # the first that names a file counts
    task: list[SuiteTask] = Field(default_factory=list)
    workflow: list[SuiteWorkflow] = Field(default_factory=list)
    markers: Markers = Field(default_factory=Markers)
    flags: list[Flag] = Field(default_factory=list)
    platforms: dict[str, ProfilePlatform] = Field(min_length=1)
    environment: Environment = Field(default_factory=Environment)
    results: Results = Field(default_factory=Results)
    lines: Lines = Field(default_factory=Lines)
    times: list[TimeFile] = Field(default_factory=list)  # the first whose file is there is the run's time
    swimlane: Swimlane | None = None
    data: Data = Field(default_factory=Data)
    signatures: list[Signature] = Field(default_factory=list)
    limits: HarnessLimits = Field(default_factory=HarnessLimits)
    sandbox: Sandbox = Field(default_factory=Sandbox)
    rules: Rules = Field(default_factory=Rules)
    budgets: dict[str, dict[str, Ceiling]] = Field(default_factory=dict)  # platform → target → what it may take
    imports: list[str] = Field(default_factory=lambda: ["."])  # where a file's imports are found, besides beside it
    ignore: list[str] = Field(default_factory=list)  # changes to these paths (globs) concern no kernel

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        if not any("{file}" in word for word in self.command):
            raise ValueError("command names no {file}, so every trial would run the same thing")
        for platform in self.platforms.values():
            texts = [*self.command, *self.environment.set.values(), *platform.set.values()]
            if not any(DEVICES & placeholders(text) for text in texts):
                raise ValueError("neither command nor environment names a {device}, so a lease would decide nothing")
        compared = self.lines.output or not self.lines.outputs_required
        if self.results.by == "lines" and not (self.lines.passed and compared):
            raise ValueError(
                "lines.passed and lines.output are missing, which a verdict by lines needs; see results.by"
            )
        self._require_known_platforms()
        require_consistent(self.task, self.workflow, [each.name for each in self.variants])
        return self

    def _require_known_platforms(self) -> None:
        for each in self.markers.skip:
            if unknown := sorted(set(each.platforms) - set(self.platforms)):
                raise ValueError(f"markers.skip names the unknown platform '{unknown[0]}'")
        for name in self.budgets:
            if name not in self.platforms:
                raise ValueError(f"budgets names the unknown platform '{name}'")
            if self.platforms[name].clock is Timing.HOST:
                raise ValueError(f"budgets.{name}: its times are the host's CPU time, to which nothing can be held")

    def of(self, file: str, platform: str) -> Profile:
        """Return the profile as it is for one file on one platform: limits, pass line and environment."""
        changes: dict[str, object] = self.platforms[platform].limits.model_dump(exclude_none=True)
        mine = next((each for each in self.per_file if listed(file, each.files)), None)
        if mine is None:
            return self.model_copy(update={"limits": self.limits.model_copy(update=changes)})
        if mine.seconds is not None:
            changes["seconds"] = mine.seconds
        lines: dict[str, object] = {"passed": mine.passed} if mine.passed else {}
        if mine.outputs_required is not None:
            lines["outputs_required"] = mine.outputs_required
        own = {name: value.replace("{", "{{").replace("}", "}}") for name, value in mine.set.items()}
        return self.model_copy(
            update={
                "limits": self.limits.model_copy(update=changes),
                "lines": self.lines.model_copy(update=lines),
                "environment": self.environment.model_copy(update={"set": {**self.environment.set, **own}}),
            }
        )

    def without_canaries(self) -> Profile:
        """Return the profile for devices of which only the driver is asked whether they are fit."""
        changed = {name: how.model_copy(update={"canary": ""}) for name, how in self.platforms.items()}
        return self.model_copy(update={"platforms": changed})

    def longest_s(self, platform: str) -> float:
        """Return the longest time limit of any file on `platform`."""
        own = self.platforms[platform].limits.seconds or self.limits.seconds
        return max([own, *(each.seconds for each in self.per_file if each.seconds is not None)])

    @property
    def set_up_s(self) -> float:
        """The time that all set-up steps together may take."""
        return sum(step.limits.seconds for step in self.setup)


def listed(file: str, globs: Sequence[str]) -> bool:
    """Whether the path `file` matches one of `globs`, in which `*` also matches `/`."""
    return any(fnmatch.fnmatchcase(file, each) for each in globs)


def parse(text: str, where: str) -> Profile:
    """The profile in `text`; `where` names it in messages. Raises `ProfileError` with the first problem."""
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(where, f"is not TOML: {error}") from error
    except RecursionError as error:
        raise ProfileError(where, "is not TOML: its values are nested too deeply") from error
    except ValidationError as error:
        # What is missing may only be misspelt, so unknown keys go first.
        problems = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ProfileError(where, _sentence(problems[0]) + more) from error


def _sentence(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    said = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        said = unknown_key(Profile, problem["loc"])
    elif problem["type"] == "missing":
        said = "is missing"
    return f"{key}: {said}" if key else said
