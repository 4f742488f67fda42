"""What `farm suite init` writes: a profile for a repository, from what its files show. None of its code is run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from farm.errors import UsageError
from farm.scaffold.suite import profile_text
from farm.scaffold.suite.look import Style, look
from kernel.harness.profile import Profile, parse


@dataclass(frozen=True, slots=True)
class Written:
    """A profile that was written."""

    path: Path
    profile: Profile
    style: Style
    open: tuple[str, ...]  # what was not found, one sentence each


def write(repository: Path, path: Path | None, style: Style | None) -> Written:
    """Write a profile for `repository` to `path`, by default NAME.toml in the current directory.

    Args:
        repository: A checkout. It is only read.
        path: The file, which must not be there.
        style: How its files are run; None to find out.

    Raises:
        UsageError: The file is there already or cannot be written, or the repository has nothing to run.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", repository.resolve().name.lower()).strip("-._") or "suite"
    path = path or Path(f"{name}.toml")
    if os.path.lexists(path):
        raise UsageError(f"{path} is there already; name another file: farm suite init {repository} --out FILE")
    found = look(repository, style)
    text = profile_text.of(name, found)
    profile = parse(text, str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name another file with --out") from error
    prefix = profile_text.OPEN
    missing = tuple(line.removeprefix(prefix).strip() for line in text.splitlines() if line.startswith(prefix))
    return Written(path, profile, found.style, missing)
