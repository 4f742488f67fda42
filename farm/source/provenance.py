"""Which commit a kernel's sources are at."""

from __future__ import annotations

import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def commit_of(path: Path) -> str:
    """The git commit of the tree `path` lies in, `-dirty` where the tree differs; `unknown` outside git."""
    directory = path if path.is_dir() else path.parent
    head = _git(directory, "rev-parse", "--verify", "HEAD")
    if head is None:
        return UNKNOWN
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return head if changes == "" else f"{head}-dirty"


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
