"""`farm test` on the repository's own device tests: two pytest processes, two devices, one JUnit file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import junitparser
import pytest

from farm.testing.plugin import DEVICE_PROPERTY
from kernel.registry import find_kernel, kernel_names
from tests.devices.test_kernels import INPUT_SETS, INPUTS
from tests.processes import left_behind

ROOT = Path(__file__).resolve().parents[3]

PLUGINS = ("xdist.plugin", "farm.testing.plugin", "tests.devices.meeting")
# One kernel's bits on several devices are compared by `farm run`, in `tests/farm/validation/test_run_for_real.py`.
NOT_TWICE = "not (test_two_devices_give_the_same_bits and qkv_proj_rope)"
VARIABLES = {
    "PYTHONPATH": str(ROOT),  # for the plug-in
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those of other packages take seconds to load in each process
    "FARM_SIM_DEVICES": "2",
}

pytestmark = [pytest.mark.ray, pytest.mark.sim]


def test_the_kernels_pass_on_two_devices_held_at_once_and_leave_one_file(tmp_path: Path, sim_cache: Path) -> None:
    home, junit = tmp_path / "home", tmp_path / "tests.xml"
    home.mkdir()
    (home / "cache").symlink_to(sim_cache)
    command = [sys.executable, "-m", "farm", "test", "tests/devices", "--devices", "2", "--junit", str(junit), "--json"]
    plugins = [word for name in PLUGINS for word in ("-p", name)]

    done = subprocess.run(
        [*command, "--", *plugins, "--dist=loadgroup", "-k", NOT_TWICE, f"--basetemp={tmp_path / 'workers'}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **VARIABLES, "FARM_HOME": str(home)},
        timeout=800,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert (told["tests"], told["skipped"]) == (len(INPUTS) + len(INPUT_SETS) - 1, 0)
    assert len({path.read_text() for path in (tmp_path / "workers" / "meeting").iterdir()}) == 2
    (suite,) = junitparser.JUnitXml.fromfile(str(junit))
    assert all(devices_of(case) for case in suite)
    assert set(told["devices"]) == {device for case in suite for device in devices_of(case)}
    assert left_behind(str(home)) == []


def test_the_device_tests_are_of_every_kernel_that_is_registered() -> None:
    assert sorted(INPUT_SETS) == [name for name in kernel_names() if find_kernel(name).budgets().is_relative_to(ROOT)]


def devices_of(case: junitparser.TestCase) -> list[str]:
    """Ids of the devices that `case` had."""
    found = case.child(junitparser.Properties) or ()
    return [each.value for each in found if each.name == DEVICE_PROPERTY]
