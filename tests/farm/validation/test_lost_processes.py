"""What becomes of a run when a process or a resource is lost: real processes, and a stated outcome for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from farm.cli.app import main

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home")]

FARM = [sys.executable, "-c", "from farm.cli.app import main; main()"]
HEADROOM_BYTES = 2 << 30  # what the machine may still use before Ray's memory monitor kills somebody

# A driver of its own, because Ray reads its memory settings when it starts.
GREEDY = """
import os, sys
from pathlib import Path
from farm.model.budgets import Budget
from farm.execution.session import SessionOptions
from farm.model.run import RunRequest
from tests.farm.validated import run
from tests.fakes import platforms

class Greedy(platforms.Honest):
    def disturb(self, outputs, device):
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 64)

request = RunRequest(kernel="qkv_proj_rope", cases=["tiny"], platform="fake", devices=1, repeats=1,
                     input_set="documented", seed=0)
budgets = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
print(run(request, SessionOptions(out=Path(sys.argv[1]), platform=Greedy, budgets=budgets)).model_dump_json())
"""


def memory() -> tuple[int, int]:
    """Bytes in use and in all, as Ray's monitor counts them."""
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return 1024 * (kilobytes["MemTotal"] - kilobytes["MemAvailable"]), 1024 * kilobytes["MemTotal"]


def test_out_of_memory_is_the_nodes_fault_and_is_tried_elsewhere(tmp_path: Path) -> None:
    used, total = memory()
    environment = {
        **os.environ,
        "RAY_memory_usage_threshold": f"{(used + HEADROOM_BYTES) / total:.4f}",
        "RAY_memory_monitor_refresh_ms": "50",
        "FARM_SIM_DEVICES": "3",
        "PYTHONPATH": str(Path(__file__).parents[3]),  # workers do not import from where their driver is
    }
    done = subprocess.run(
        [sys.executable, "-c", GREEDY, str(tmp_path)], capture_output=True, text=True, check=False, env=environment
    )
    record = json.loads(done.stdout.strip().splitlines()[-1])

    failures = [trial["failure"] for trial in record["trials"]]
    assert record["verdict"] == "errored"
    assert {failure["kind"] for failure in failures} == {"out-of-memory"}
    assert {failure["fault"] for failure in failures} == {"node"}
    assert [trial["attempt"] for trial in record["trials"]] == [0, 1, 2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 64 KB: less than the reports of a run need."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    how = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mounted)]
    if os.geteuid() or subprocess.run(how, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def test_a_disk_that_fills_up_loses_reports_and_no_verdict(small_disk: Path) -> None:
    asked = ["run", "--case", "tiny", "--devices", "1", "--repeats", "1", "--out", str(small_disk)]
    done = subprocess.run([*FARM, *asked], capture_output=True, text=True, check=False)
    listed = json.loads(CliRunner().invoke(main, ["runs", "--json"]).stdout)

    assert done.returncode == 3, done.stdout + done.stderr
    assert "No space left on device" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert [run["verdict"] for run in listed] == ["errored"]


def test_a_killed_driver_is_resumed_and_repeats_nothing(tmp_path: Path) -> None:
    asked = ["run", "--case", "tiny", "--devices", "2", "--repeats", "4", "--out", str(tmp_path / "runs")]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*FARM, *asked], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert any("repeat 1 " in line for line in process.stdout)
        process.kill()
    before = json.loads(CliRunner().invoke(main, ["report", "latest", "--format", "json"]).stdout)
    resumed = subprocess.run([*FARM, "resume", "latest", "--json"], capture_output=True, text=True, check=False)
    after = json.loads(resumed.stdout)

    assert before["verdict"] == "errored"
    assert before["reason"].startswith("interrupted: process")
    assert (resumed.returncode, after["verdict"], after["resumed_from"]) == (0, "passed", before["run_id"])
    assert before["trials"]
    assert all(trial in after["trials"] for trial in before["trials"])
    assert len(after["trials"]) == 8
    assert all((Path(after["directory"]) / trial["log"]).is_file() for trial in after["trials"])
