"""Which files of tests are slow, as `slow_files.toml` lists them: the slowest run first, and no fast run has any."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIST = Path(__file__).with_suffix(".toml")


def listed() -> dict[str, str]:
    """What each of the slowest files pays for, by its path below the repository, the slowest first."""
    return {file["path"]: file["pays_for"] for file in tomllib.loads(LIST.read_text())["file"]}


def others() -> list[str]:
    """Files that take seconds as well."""
    return list(tomllib.loads(LIST.read_text())["others"])


def place(node_id: str, slow: Mapping[str, object]) -> int:
    """Return a key that sorts tests of `slow` files before all others and leaves the order within a file alone."""
    return {path: number for number, path in enumerate(slow)}.get(node_id.partition("::")[0], len(slow))
