"""Each command as a process in a directory that has packages named like the farm's: none of them runs, in any process.

`test_hostile_directory.py` has the same commands in one process, and what each of them starts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.commits import KERNEL, program, versions
from tests.fakes.installed import install
from tests.farm.hostile_checkout import FARM, Checkout

PLATFORMS = {"fake": "tests.fakes.platforms:Honest", "commit": "tests.fakes.commit_platform:CommitPlatform"}
AWAITED = """
import asyncio, farm
options = dict(cases=["tiny"], platform="fake", devices=1, repeats=1, out="runs", wait_s=60)
record = asyncio.run(farm.run_async("qkv_proj_rope", address={address!r}, **options))
print(len(record.trials))
"""

pytestmark = [pytest.mark.long, pytest.mark.ray]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """With platforms, a kernel and a store of its own for every process that is started in it."""
    directory = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        site = directory / "site"
        install(site, patch, PLATFORMS, {KERNEL: f"{KERNEL}:KERNEL"})
        (site / f"{KERNEL}.py").write_text(program(-1, ""))
        (site / "budgets.toml").touch()
        patch.setenv("FARM_HOME", str(directory / "home"))
        patch.setenv("FARM_STORE", f"sqlite:///{directory / 'store.sqlite'}")
        patch.setenv("FARM_SIM_DEVICES", "3")
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        yield Checkout(directory / "checkout")


@pytest.fixture(scope="module")
def address(checkout: Checkout) -> Iterator[str]:
    """A cluster that is started in the hostile directory too."""
    with checkout.cluster(3) as at:
        yield at


def test_a_run_on_a_ray_of_its_own(checkout: Checkout) -> None:
    options = ("--case", "tiny", "--platform", "fake", "--devices", "2", "--repeats", "1", "--json")

    done = checkout.run(FARM, "run", *options)

    assert done.returncode == 0, done.stderr + done.stdout
    assert len(json.loads(done.stdout)["trials"]) == 2
    assert checkout.imported == ""


@pytest.mark.parametrize(
    "words",
    [
        ("sweep", "--case", "tiny", "--seeds", "1", "--json"),
        ("tune", "--case", "tiny", "--trials", "1", "--devices", "1", "--json"),
        ("devices", "probe", "--all", "--json"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_on_a_shared_cluster(words: tuple[str, ...], checkout: Checkout, address: str) -> None:
    done = checkout.run(FARM, *words, "--platform", "fake", "--address", address)

    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)
    assert checkout.imported == ""


def test_a_bisect(checkout: Checkout, address: str, tmp_path: Path) -> None:
    commits = versions(tmp_path / "repo", ["wall_us = 40.0", "wall_us = 41.0"])
    options = ("--kernel", KERNEL, "--platform", "commit", "--source", str(commits.path), "--address", address)

    done = checkout.run(FARM, "bisect", *commits.ids, *options, "--wait", "60", "--no-report", "--json")

    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["suspects"] == [commits.ids[1]]
    assert checkout.imported == ""


def test_a_run_that_is_awaited(checkout: Checkout, address: str, tmp_path: Path) -> None:
    (tmp_path / "awaited.py").write_text(AWAITED.format(address=address))

    done = checkout.run(sys.executable, str(tmp_path / "awaited.py"))

    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
    assert checkout.imported == ""


def test_a_notebook_that_has_started_ray_there_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "cell.py").write_text(
        "import farm, ray\n"
        "ray.init(address='local', num_cpus=1, resources={'NPU': 1}, include_dashboard=False, log_to_driver=False)\n"
        "try:\n"
        "    farm.run('qkv_proj_rope', cases=['tiny'], platform='fake', devices=1, repeats=1)\n"
        "except farm.UsageError as error:\n"
        "    print('refused:', error)\n"
    )

    done = checkout.run(sys.executable, str(tmp_path / "cell.py"))

    assert done.stdout.startswith(f"refused: Ray was started in {checkout.path}"), done.stdout + done.stderr
    assert checkout.imported == ""
