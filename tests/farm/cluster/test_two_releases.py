"""Two releases of the farm on one cluster: a driver of another release is refused, the cluster's own goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from farm.process import installation
from tests import ray_node
from tests.fakes.installed import install

pytestmark = pytest.mark.ray

FARM = [sys.executable, "-c", "from farm.cli.app import main; main()"]
RUN = ["run", "--platform", "fake", "--case", "tiny", "--devices", "2", "--repeats", "1"]
NEWER = "allocation.py"  # a module that an older release has not


@dataclass(frozen=True, slots=True)
class OtherRelease:
    """A cluster whose nodes have another release of the farm than this process."""

    root: Path  # of its packages
    address: str
    home: Path

    def run(self, *, own: bool) -> subprocess.CompletedProcess[str]:
        """`farm run` on the cluster: with the cluster's `own` release, or with this process's."""
        environment = {
            **os.environ,
            "FARM_HOME": str(self.home),
            "FARM_STORE": f"sqlite:///{self.home / 'runs.sqlite'}",
        }
        if own:
            environment["PYTHONPATH"] = before(self.root)
        command = [*FARM, *RUN, "--address", self.address, "--out", str(self.home / "runs")]
        self.home.mkdir(exist_ok=True)
        # In a directory of its own: `python -c` imports from the current one first.
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=self.home, timeout=200, check=False
        )


def before(root: Path) -> str:
    """PYTHONPATH with `root` first."""
    return os.pathsep.join([str(root), os.environ["PYTHONPATH"]])


@pytest.fixture(
    params=["without-a-module-of-this-one", pytest.param("of-the-same-modules", marks=pytest.mark.long)],
)
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[OtherRelease]:
    install(tmp_path / "site", monkeypatch, {"fake": "tests.fakes.platforms:Honest"})
    root = tmp_path / "other"
    for package in installation.PACKAGES:
        shutil.copytree(installation.root() / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    version = root / "farm" / "__init__.py"
    version.write_text(version.read_text().replace('__version__ = "', '__version__ = "0.0.1.'))
    if request.param == "without-a-module-of-this-one":
        for path in (root / "farm" / "leasing").glob("*.py"):
            path.write_text(path.read_text().replace("farm.leasing.allocation", "farm.leasing.given"))
        (root / "farm" / "leasing" / NEWER).rename(root / "farm" / "leasing" / "given.py")
    port, log = ray_node.free_port(), tmp_path / "head.log"
    arguments = [*ray_node.head(port, "127.0.0.1"), '--resources={"NPU": 2}']
    head = ray_node.start(log, arguments, environment={"PYTHONPATH": before(root)})
    try:
        ray_node.answers(head, f"127.0.0.1:{port}", log)
        yield OtherRelease(root, f"127.0.0.1:{port}", tmp_path / "home")
    finally:
        ray_node.kill(head)


def test_a_driver_of_another_release_is_refused_and_the_clusters_own_goes_on(other: OtherRelease) -> None:
    refused = other.run(own=False)
    served = other.run(own=True)

    assert refused.returncode == 2, refused.stdout + refused.stderr
    [line] = refused.stderr.splitlines()
    assert "another release of the farm" in line or f"runs the farm in {other.root}" in line
    assert served.returncode == 0, served.stdout + served.stderr
