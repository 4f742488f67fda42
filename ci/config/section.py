"""What every table of `farm.toml` is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ci.config.secrets import wrong
from jobs.kernel_process.description import cases_of
from kernel.errors import KernelLayerError

RepositoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]


class Section(BaseModel):
    """A table of `farm.toml`. Unknown keys are refused: most of them are misspelt ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def require_cases(kernel: str, cases: list[str]) -> None:
    """Refuse, in pydantic's way, cases that `kernel` does not have."""
    try:
        known = cases_of(kernel)
    except KernelLayerError as error:
        raise wrong(str(error)) from error
    unknown = [case for case in cases if case not in known]
    if unknown:
        raise wrong(f"no case {', '.join(unknown)}; the kernel has: {', '.join(known)}")
