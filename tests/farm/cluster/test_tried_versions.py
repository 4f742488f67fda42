"""The lowest and the newest Ray that are said to be tried: a run on a local Ray of each, from the package index."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.process import ray_version
from tests.fakes.installed import install

pytestmark = [pytest.mark.ray, pytest.mark.long]

FARM = [sys.executable, "-c", "from farm.cli.app import main; main()"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("minor", [ray_version.TRIED[0], ray_version.TRIED[-1]])
def test_a_run_passes_with_the_lowest_and_the_newest_ray(
    minor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "ray"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(own), f"ray=={minor}.*"]
    subprocess.run(pip, check=True)
    install(tmp_path / "site", monkeypatch, {"fake": "tests.fakes.platforms:Honest"})
    home = tmp_path / "home"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(own), os.environ["PYTHONPATH"]]),
        "FARM_HOME": str(home),
        "FARM_STORE": f"sqlite:///{tmp_path / 'runs.sqlite'}",
        "FARM_SIM_DEVICES": "2",
    }
    which = "import ray; print(ray.__version__)"

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    version = said(sys.executable, "-c", which)
    ran = said(*FARM, "run", "--platform", "fake", "--case", "tiny", "--devices", "2", "--repeats", "2")

    assert version.stdout.startswith(f"{minor}.")
    assert ran.returncode == 0, ran.stdout + ran.stderr
