"""Platforms of the tests, installed as a package would install them: found by child processes and Ray's workers too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest


def install_platforms(directory: Path, platforms: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Register `platforms` (name → "module:class") for every process started from here on."""
    package = directory / "fakes-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in platforms.items())
    (package / "entry_points.txt").write_text(f"[farm.platforms]\n{lines}")
    here = str(Path(__file__).parents[2])
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(directory), here, *inherited]))
