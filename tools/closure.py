"""What the farm and each of its extras bring along, read from the installed distributions: names, versions, bytes.

    python -m tools.closure      # a table: base and extras, packages and MB

Nothing is resolved and nothing is downloaded, so `.venv` has to be set up with `--dev`.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "npu-kernel-farm"
EXTRAS = ("pypto", "service", "tune", "test", "postgres", "notify")


def declared() -> dict[str, Any]:
    """The [project] table of pyproject.toml."""
    found: dict[str, Any] = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]
    return found


def closure(requirements: Iterable[str]) -> set[str]:
    """Return the names of what `requirements` need here, themselves included.

    Raises `PackageNotFoundError` for what is needed and not installed.
    """
    waiting = [Requirement(each) for each in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ("", *wanted.extras):
            if name == PROJECT or (name, extra) in seen:
                continue
            seen.add((name, extra))
            waiting += [each for each in needs(name) if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


@functools.cache
def needs(name: str) -> tuple[Requirement, ...]:
    """Return what an installed package asks for, under whatever conditions."""
    return tuple(Requirement(each) for each in importlib.metadata.distribution(name).requires or ())


@functools.cache
def base() -> frozenset[str]:
    """What the farm without extras brings on this Python."""
    wanted = [Requirement(each) for each in declared()["dependencies"]]
    present = (str(each).partition(";")[0] for each in wanted if each.marker is None or each.marker.evaluate())
    return frozenset(closure(present))


def extra(name: str) -> set[str]:
    """What one extra brings beside the base."""
    return closure(declared()["optional-dependencies"][name]) - base()


def size(names: Iterable[str]) -> int:
    """Bytes of the installed files of some distributions, as their records have them."""
    found = (importlib.metadata.distribution(name).files or [] for name in names)
    return sum(each.size or 0 for files in found for each in files)


def main() -> int:
    """Print the table."""
    everything = base()
    print(f"base      {len(everything):4} packages {size(everything) / 1e6:8.1f} MB")
    for each in EXTRAS:
        names = extra(each)
        print(f"{each:9} {len(names):4} packages {size(names) / 1e6:8.1f} MB")
    largest = sorted(((size([name]) / 1e6, name) for name in everything), reverse=True)[:8]
    print("largest of the base: " + ", ".join(f"{name} {megabytes:.0f}" for megabytes, name in largest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
