"""Ray's private interfaces are used with the minor versions that were tried, and with no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.process import ray_version

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("installed", ["2.61.0", "2.54.1", "3.0.0", "2.6.0", "2.601.0"])
def test_another_minor_version_is_refused_in_one_line(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: installed)

    with pytest.raises(UsageError) as refused:
        ray_version.require_tried()

    assert str(refused.value) == (
        f"Ray {installed} is installed, whose private interfaces this farm has not been tried with; "
        "use 2.55 to 2.60: pip install 'ray[default]==2.60.*'"
    )


@pytest.mark.parametrize("installed", ["2.55.0", "2.57.9", "2.60.0", "2.60.0rc1"])
def test_those_that_were_tried_are_taken(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: installed)

    assert ray_version.problem() == ""


def test_every_pinned_version_and_the_lower_bound_were_tried() -> None:
    pinned = {
        found[1]
        for path in (ROOT / "constraints").glob("*.txt")
        for found in re.finditer(r"^ray==(\d+\.\d+)", path.read_text(), re.MULTILINE)
    }
    bound = re.search(r'"ray\[default\]>=(\d+\.\d+),<2\.(\d+)"', (ROOT / "pyproject.toml").read_text())

    assert bound
    assert pinned | {bound[1]} == {ray_version.TRIED[0], ray_version.TRIED[-1]}
    assert f"2.{int(bound[2]) - 1}" == ray_version.TRIED[-1], "an installer is not to choose what every command refuses"


def test_a_command_that_needs_ray_ends_with_that_line(tmp_path: Path) -> None:
    newer = tmp_path / "ray-2.61.0.dist-info"
    newer.mkdir()
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: ray\nVersion: 2.61.0\n")
    environment = {**os.environ, "FARM_HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "farm", "cluster", "up"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("farm: Ray 2.61.0 is installed, whose private interfaces")
    assert done.stderr.count("\n") == 1
