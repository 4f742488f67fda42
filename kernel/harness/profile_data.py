"""The tables of a profile about a run's data: inputs that are the same for every run, and outputs whose bits count."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from kernel.harness.profile_sections import Below, Pattern, ProfileSection, Template

_NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_IDENTIFIER = r"^[A-Za-z_]\w*$"


def _function(text: str) -> str:
    if text and not re.fullmatch(f"{_NAME}:{_NAME}", text):
        raise ValueError(f"'{text}' is no function; write module:function, for example golden.validation:validate")
    if text.startswith("__main__:"):
        raise ValueError(f"'{text}': a function of the file that is run cannot be wrapped; name one that it imports")
    return text


Function = Annotated[str, AfterValidator(_function)]  # "module:function", "module:Class.method"


class Replay(ProfileSection):
    """How a run's data is kept, and fed to later runs of the same file."""

    offered: Pattern  # what the text of a file that can do both holds
    save: list[Template] = Field(min_length=1)  # arguments that make a run keep its data
    data: Below  # the directory it keeps them in
    use: list[Template] = Field(min_length=1)  # arguments that make a run take them from `{data}`


class Digests(ProfileSection):
    """A Python function of the repository that gets the program's own tensors, wrapped while the program runs.

    No file changes. Digests, shapes and dtypes are what that process says of itself.
    """

    function: Function = Field(min_length=1)  # that compares: "golden.validation:validate_golden"
    argument: str = Field(pattern=_IDENTIFIER)  # of it, with the outputs: a tensor, or a list or mapping of them
    name: str = Field(default="", pattern=f"{_IDENTIFIER}|^$")  # of it, with the output's name where that is one tensor
    inputs: Function = ""  # that returns inputs: those of the first run are given to every later one
    inputs_argument: str = Field(default="", pattern=f"{_IDENTIFIER}|^$")  # where they are an argument of it instead


class Data(ProfileSection):
    """What the runs of one file have in common."""

    seeded: bool = False  # the same seed, or none at all, gives the same inputs
    replay: Replay | None = None
    outputs: list[Below] = Field(default_factory=list)  # files with the program's own outputs, never the goldens
    digests: Digests | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Data:
        if self.replay is not None and self.frozen_by_wrapper:
            raise ValueError("replay and digests.inputs both give every run the same inputs; keep one of them")
        return self

    @property
    def frozen_by_wrapper(self) -> bool:
        """Whether inputs are kept and given by the wrapped functions."""
        return self.digests is not None and bool(self.digests.inputs)

    @property
    def has_bits(self) -> bool:
        """Whether outputs of a run can be compared with those of another."""
        return bool(self.outputs) or self.digests is not None
