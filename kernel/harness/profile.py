"""A harness profile: one TOML file that tells how an external harness is called and how what it prints is read.

A profile belongs to the trusted installation, as budgets do: it decides what counts as a pass.
"""

from __future__ import annotations

import sys
from typing import Any

from pydantic import Field, ValidationError, model_validator

from kernel.errors import KernelLayerError
from kernel.harness.profile_sections import (
    Ceiling,
    Data,
    Environment,
    Files,
    Flag,
    HarnessLimits,
    Lines,
    Markers,
    ProfilePlatform,
    ProfileSection,
    Replay,
    Signature,
    Swimlane,
    Template,
    Timing,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Ceiling", "Data", "Lines", "Profile", "ProfileError", "Replay", "Signature", "Swimlane", "Timing", "parse"]


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
