"""Every workflow, started in a directory that has packages named like the farm's: none of them runs, in any process.

`test_whole_hostile_directory.py` has each command as a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.process.installation import root
from tests.fakes.installed import install
from tests.fakes.suite_commits import FILE, SAME, SLOWER, profile, suite_versions
from tests.farm.hostile_checkout import FARM, Checkout

PLATFORMS = {"fake": "tests.fakes.platforms:Honest"}
TEST = "def test_it(farm_trial):\n    assert farm_trial('qkv_proj_rope', 'tiny').failure is None\n"
# What a notebook does that has connected Ray there by itself, and then one command after the other.
NOTEBOOK = """
import json, sys
import farm, ray
from click.testing import CliRunner
from farm.cli.app import main
from farm.cluster import local, ray_internals

address, commands = sys.argv[1], json.loads(sys.argv[2])
with ray_internals.on_loopback(True), ray_internals.token_from(local.at(address).token):
    ray.init(address=address, log_to_driver=False)
    try:
        farm.run("qkv_proj_rope", cases=["tiny"], platform="fake", devices=1, repeats=1)
    except farm.UsageError as error:
        answers = [str(error)]
    ray.shutdown()
for words in commands:
    done = CliRunner().invoke(main, [*words, "--address", address, "--json"])
    answers.append([words[0], done.exit_code, done.stdout, done.stderr])
print(json.dumps(answers))
"""
AWAITED = """
import asyncio, farm
try:
    asyncio.run(farm.run_async("qkv_proj_rope", address="127.0.0.1:1", cases=["tiny"], platform="fake", out="runs"))
except farm.InfrastructureError as error:
    print(error)
"""

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """With a platform and a store of its own for every process that is started in it."""
    directory = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        site = directory / "site"
        install(site, patch, PLATFORMS)
        patch.setenv("FARM_HOME", str(directory / "home"))
        patch.setenv("FARM_STORE", f"sqlite:///{directory / 'store.sqlite'}")
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            patch.delenv(name)
        yield Checkout(directory / "checkout")


@pytest.fixture(scope="module")
def address(checkout: Checkout) -> Iterator[str]:
    """A cluster that is started in the hostile directory too."""
    with checkout.cluster(1) as at:
        yield at


def test_a_notebook_that_has_connected_ray_there_is_refused_and_commands_are_not(
    checkout: Checkout, address: str, tmp_path: Path
) -> None:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    commits = suite_versions(tmp_path / "repo", [SAME, SLOWER])
    kernel = ["--case", "tiny", "--platform", "fake", "--devices", "1"]
    suite = ["--suite", str(profile(tmp_path)), "--platform", "model", "--source", str(commits.path), "--devices", "1"]
    commands = [
        ["run", *kernel, "--repeats", "1"],
        ["sweep", *kernel, "--seeds", "1"],
        ["tune", *kernel, "--trials", "1"],
        ["devices", "probe", "--all", "--platform", "fake"],
        ["bisect", *commits.ids, FILE, *suite, "--wait", "60", "--no-report"],
    ]

    done = checkout.run(sys.executable, str(tmp_path / "notebook.py"), address, json.dumps(commands))

    assert done.returncode == 0, done.stderr
    refused, *answers = json.loads(done.stdout.splitlines()[-1])
    assert refused.startswith(f"Ray was started in {checkout.path}")
    codes = {name: code for name, code, *_ in answers}
    assert codes == {"run": 0, "sweep": 3, "tune": 0, "devices": 0, "bisect": 0}, answers
    told = {name: json.loads(printed) for name, _, printed, _ in answers}
    assert told["sweep"]["reason"] == "1 device measured: nothing to compare"
    assert len(told["run"]["trials"]) == 1
    assert told["bisect"]["suspects"] == [commits.ids[1]]
    assert checkout.imported == ""


def test_a_pytest_suite_whose_directory_pytest_puts_first_on_the_path(checkout: Checkout, address: str) -> None:
    (checkout.path / "conftest.py").write_text("import sys\nassert sys.path[0] == __file__.rpartition('/')[0]\n")
    (checkout.path / "test_it.py").write_text(TEST)

    done = checkout.run(FARM, "test", "test_it.py", "-n", "1", "--platform", "fake", "--address", address, "--json")

    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["tests"] == 1
    assert checkout.imported == ""


def test_a_run_that_is_awaited(checkout: Checkout, tmp_path: Path) -> None:
    """Its process answers, and so has imported all that it would need for a run."""
    (tmp_path / "awaited.py").write_text(AWAITED)

    done = checkout.run(sys.executable, str(tmp_path / "awaited.py"))

    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:1" in done.stdout
    assert checkout.imported == ""


def test_packages_of_two_installations_are_refused_in_one_line(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])

    done = checkout.run("env", f"PYTHONPATH={path}", FARM, "run", "--case", "tiny", "--platform", "fake")

    assert done.returncode == 2, done.stderr
    assert str(tmp_path / "jobs") in done.stderr or "jobs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert str(root()) in done.stderr
