"""The set-up steps of a profile: what is built once for a repository's commit before any of its files is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from kernel.harness.profile_sections import Pattern, ProfileSection, placeholders

PLACEHOLDERS = frozenset({"root", "workdir", "output", "platform"})


def _of_set_up(text: str) -> str:
    try:
        unknown = sorted(placeholders(text) - PLACEHOLDERS)
    except ValueError as error:
        raise ValueError(f"'{text}': {error}; write {{{{ and }}}} for braces") from error
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
        raise ValueError(f"'{text}' has {{{unknown[0]}}}, which no set-up step has; known: {known}")
    return text


def _inside(text: str) -> str:
    parts = Path(text).parts
    if text.startswith("/") or not parts or ".." in parts or ".git" in parts:
        raise ValueError(f"'{text}' is no path below the repository's root")
    return text


def _plain(text: str) -> str:
    if set("*?[") & set(text):
        raise ValueError(f"'{text}' has a wildcard; name the file or directory itself, and globs in artefacts")
    return Path(text).as_posix()


def _one_group(text: str) -> str:
    if re.compile(text).groups != 1:
        raise ValueError(f"'{text}' needs exactly one group, which is the value")
    return text


SetupTemplate = Annotated[str, AfterValidator(_of_set_up)]
Inside = Annotated[str, AfterValidator(_inside)]  # below the repository's root
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class SetupLimits(ProfileSection):
    """What one step may use."""

    seconds: float = Field(default=1800.0, gt=0)
    disk_mb: int = Field(default=8192, ge=1)  # besides the files that it starts with
    log_mb: int = Field(default=16, ge=1)  # kept of what it prints: half from the beginning, half from the end


class Setup(ProfileSection):
    """One step. It runs once for the same contents on each machine, in a private copy of the repository."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    command: list[SetupTemplate] = Field(default_factory=list)  # no shell reads it; empty: the step only activates
    inputs: list[Inside] = Field(default_factory=lambda: ["*"])  # globs; `*` also matches `/`. What decides the result
    inputs_only: bool = False  # the private copy has the inputs and nothing else
    outputs: list[Annotated[Inside, AfterValidator(_plain)]] = Field(default_factory=list)  # files and directories
    artefacts: list[Inside] = Field(default_factory=list)  # globs: each matches a file that is new and not empty
    capture: dict[Variable, Annotated[Pattern, AfterValidator(_one_group)]] = Field(default_factory=dict)
    activate: list[SetupTemplate] = Field(default_factory=list)  # scripts that bash sources before the command
    skip_if_present: SetupTemplate = ""  # a path, absolute or below the root, that makes the step unnecessary
    network: bool = False  # a confined step has none without this
    limits: SetupLimits = Field(default_factory=SetupLimits)

    @model_validator(mode="after")
    def _does_something(self) -> Setup:
        if not self.command and not self.activate:
            raise ValueError(f"step '{self.name}' has neither command nor activate, so it would do nothing")
        if not self.command and (self.outputs or self.artefacts or self.capture):
            raise ValueError(f"step '{self.name}' has no command that could make its outputs")
        if self.command and not (self.outputs or self.capture):
            raise ValueError(f"step '{self.name}' names no outputs, and what it makes elsewhere is thrown away")
        if any("output" in placeholders(word) for word in self.command) and not self.outputs:
            raise ValueError(f"step '{self.name}' uses {{output}}, which is the first of outputs, and names none")
        if self.capture and self.skip_if_present:
            raise ValueError(f"step '{self.name}' captures variables that would be missing where it is skipped")
        for each in self.artefacts:
            if not any(_within(each, output) for output in self.outputs):
                raise ValueError(f"artefact '{each}' of step '{self.name}' is below none of its outputs")
        return self


def require_apart(steps: list[Setup]) -> list[Setup]:
    """Return `steps`. Raises `ValueError` where two have one name, or one makes a part of what another makes."""
    names = [step.name for step in steps]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two steps are called '{doubled[0]}'")
    made = [output for step in steps for output in step.outputs]
    for place, output in enumerate(made):
        for other in made[:place] + made[place + 1 :]:
            if _within(output, other):
                raise ValueError(f"output '{output}' is made twice, or is part of the output '{other}'")
    return steps


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")
