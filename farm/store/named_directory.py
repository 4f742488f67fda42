"""The directory of a sweep or a bisect, by what a person calls it."""

from __future__ import annotations

from pathlib import Path

from farm.errors import UsageError


def find(out: Path, name: str, marker: str, noun: str) -> Path:
    """Return the directory below `out` that is called `name`: an id, the beginning of one, or `latest`.

    Args:
        out: Where the directories are.
        name: What is looked for.
        marker: The file that each such directory holds.
        noun: What the directories are of, "sweep" or "bisect"; also the command that makes one.

    Raises:
        UsageError: There is none, or more than one.
    """
    present = sorted(path.parent for path in out.glob(f"*/{marker}"))
    if name == "latest":
        if not present:
            raise UsageError(f"no {noun} below {out}; begin one with `farm {noun}`")
        return present[-1]
    exact = [path for path in present if path.name == name]
    found = exact or [path for path in present if path.name.startswith(name)]
    if len(found) != 1:
        problem = f"more than one {noun} begins with" if found else f"no {noun}"
        raise UsageError(f"{problem} '{name}' below {out}; those there: {', '.join(p.name for p in present) or 'none'}")
    return found[0]
