"""`farm test` on the repository's own device tests: three pytest processes, three devices, one JUnit file."""

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

pytestmark = [pytest.mark.ray, pytest.mark.sim]


def test_the_kernels_pass_on_three_devices_held_at_once_and_leave_one_file(tmp_path: Path, sim_cache: Path) -> None:
    home, junit = tmp_path / "home", tmp_path / "tests.xml"
    home.mkdir()
    (home / "cache").symlink_to(sim_cache)
    command = [sys.executable, "-m", "farm", "test", "tests/devices", "--devices", "3", "--junit", str(junit), "--json"]

    done = subprocess.run(
        [*command, "--", "-p", "tests.devices.meeting", f"--basetemp={tmp_path / 'workers'}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "FARM_HOME": str(home), "PYTHONPATH": str(ROOT)},  # for the plug-in
        timeout=800,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert (told["tests"], told["skipped"]) == (len(INPUTS) + 1, 0)
    assert len({path.read_text() for path in (tmp_path / "workers" / "meeting").iterdir()}) == 3
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
