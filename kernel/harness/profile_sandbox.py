"""What a confined file is shown of the machine besides the system, Python and its repository, and what it may use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from kernel.harness.profile_sections import ProfileSection


def _absolute(text: str) -> str:
    if not Path(text).is_absolute() or ".." in Path(text).parts:
        raise ValueError(f"'{text}' is no absolute path without '..'")
    if Path(text) == Path("/"):
        raise ValueError("'/' would show the whole machine; name the toolchain's directories")
    return text


class Sandbox(ProfileSection):
    """Of the files of a commit. Without a commit nothing is confined, and this is not used."""

    read: list[Annotated[str, AfterValidator(_absolute)]] = Field(default_factory=list)  # shown read-only
    memory_mb: int = Field(default=16_384, ge=64)  # of all its processes together
    processes: int = Field(default=4096, ge=16)  # threads counted where the machine counts them
