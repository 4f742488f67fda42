"""The main job on the default platform, nothing faked: PyPTO, Ray, three devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from junitparser import JUnitXml

from farm.cli.app import main

pytestmark = [pytest.mark.ray, pytest.mark.sim]


@pytest.mark.usefixtures("at_home")
def test_three_devices_validate_the_real_kernel(tmp_path: Path, standing_ray: str) -> None:
    arguments = ["run", "--devices", "3", "--case", "tiny", "--address", standing_ray, "--out", str(tmp_path), "--json"]

    done = CliRunner().invoke(main, arguments)

    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "passed"
    assert {gate["name"]: gate["status"] for gate in report["gates"]} == {
        "tolerance": "passed",
        "determinism": "passed",
        "budget": "passed",
        "clock": "passed",
    }
    assert len(report["trials"]) == 9
    assert len({trial["fingerprint"] for trial in report["trials"]}) == 1
    assert len({trial["wall_us"] for trial in report["trials"]}) == 1
    assert {trial["clock"] for trial in report["trials"]} == {"simulated"}
    stages = {task["stage"] for task in report["trials"][0]["tasks"]}
    assert len(stages) >= 5, stages
    directory = Path(report["directory"])
    assert JUnitXml.fromfile(str(directory / "junit.xml")).failures == 0
    assert all((directory / trial["log"]).exists() for trial in report["trials"])
