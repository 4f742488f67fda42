"""What becomes of a run when a resource is lost: a real Ray, a real file system, and a stated outcome for each."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from farm.cli.app import main
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import RunRequest, Verdict
from jobs.records import Fault
from tests import clusters
from tests.fakes import platforms
from tests.farm.validated import run

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home")]

HEADROOM_BYTES = 2 << 30  # what the machine may still use before Ray's memory monitor kills somebody
BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}


def memory() -> tuple[int, int]:
    """Bytes in use and in all, as Ray's monitor counts them."""
    rows = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return 1024 * (kilobytes["MemTotal"] - kilobytes["MemAvailable"]), 1024 * kilobytes["MemTotal"]


@pytest.fixture
def low_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a node that ends who uses much memory: Ray reads its limit when it starts."""
    used, total = memory()
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{(used + HEADROOM_BYTES) / total:.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    with clusters.standing(3, tmp_path) as address:
        yield address


def test_out_of_memory_is_the_nodes_fault_and_is_tried_elsewhere(low_memory: str, tmp_path: Path) -> None:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=1,
        repeats=1,
        input_set="documented",
        seed=0,
    )

    options = SessionOptions(
        out=tmp_path / "out", address=low_memory, platform=platforms.TakesAllMemory, budgets=BUDGETS
    )

    record = run(request, options)

    failures = [trial.failure for trial in record.trials]
    assert record.verdict is Verdict.ERRORED
    assert {failure and failure.kind for failure in failures} == {"out-of-memory"}
    assert {failure and failure.fault for failure in failures} == {Fault.NODE}
    assert [trial.attempt for trial in record.trials] == [0, 1, 2]


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


@pytest.mark.usefixtures("fakes")
def test_a_disk_that_fills_up_loses_reports_and_no_verdict(small_disk: Path, standing_ray: str) -> None:
    asked = ["run", "--platform", "fake", "--case", "tiny", "--devices", "1", "--repeats", "1"]
    done = CliRunner().invoke(main, [*asked, "--address", standing_ray, "--out", str(small_disk)])
    listed = json.loads(CliRunner().invoke(main, ["runs", "--json"]).stdout)

    assert done.exit_code == 3, done.output
    assert "No space left on device" in done.output
    assert "Traceback" not in done.output
    assert [run["verdict"] for run in listed] == ["errored"]
