"""Platforms and kernels of the tests, installed as a package would install them: child processes find them too."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    platforms: Mapping[str, str],
    kernels: Mapping[str, str] | None = None,
) -> None:
    """Register `platforms` and `kernels` (name → "module:object") for this process and every one it starts."""
    write(directory, platforms, kernels)
    use(directory, monkeypatch)


def write(directory: Path, platforms: Mapping[str, str], kernels: Mapping[str, str] | None = None) -> None:
    """Write the package that registers them into `directory`, for whoever has that on Python's path."""
    package = directory / "fakes-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
    groups = {"farm.platforms": platforms, "farm.kernels": kernels or {}}
    lines = [
        line
        for group, entries in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (package / "entry_points.txt").write_text("\n".join(lines) + "\n")


def use(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is registered in `directory` found by this process and every one it starts."""
    here = str(Path(__file__).parents[2])
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(directory), here, *inherited]))
    monkeypatch.setattr(sys, "path", [str(directory), *sys.path])
