"""A real `farm run` process, interrupted and killed: what was measured is kept, and the run ends with one verdict."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.cluster import connection
from tests.farm.conftest import DEVICES
from tests.waiting import came_true

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home", "fakes")]


GONE_S = 20  # for how long a node of Ray looks for a head that is gone, a minute otherwise
REPEATS = 6  # of a second each, on two devices


@contextlib.contextmanager
def long_run(out: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A run of some seconds that has measured on both devices. Its store is the one that `at_home` names."""
    words = ["run", "--platform", "second", "--case", "tiny", "--devices", "2", "--repeats", str(REPEATS)]
    command = [sys.executable, "-c", "from farm.cli.app import main; main()", *words, "--out", str(out), *more]
    variables = {
        "PYTHONUNBUFFERED": "1",
        "FARM_SIM_DEVICES": "2",
        "FARM_HEAD_LOST_AFTER": str(GONE_S // 2),  # less than that
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(GONE_S),
    }
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "repeat 1" in line:
                break
        else:
            raise AssertionError(f"the run ended with {process.wait()} before it measured anything")
        yield process
        process.kill()


def processes_below(process: subprocess.Popen[str]) -> set[int]:
    """Processes below `process`, Ray's among them."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for row in listing.splitlines():
        pid, parent = map(int, row.split())
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [process.pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def alive(pids: set[int]) -> set[int]:
    """Those of `pids` that still run, zombies apart."""
    states = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    running = {int(row.split()[0]) for row in states.splitlines() if not row.split()[1].startswith("Z")}
    return pids & running


def gone(pids: set[int], within_s: float) -> bool:
    return came_true(lambda: not alive(pids), within_s)


def interrupted(process: subprocess.Popen[str], out: Path, with_signal: signal.Signals) -> None:
    """Interrupt the run `process`, and see that what it had measured is in its reports."""
    process.send_signal(with_signal)

    assert process.wait(timeout=60) == 3
    (directory,) = out.iterdir()
    report = json.loads((directory / "report.json").read_text())
    assert (report["verdict"], report["reason"]) == ("errored", "interrupted")
    assert 1 <= len(report["trials"]) < 2 * REPEATS
    assert (directory / "junit.xml").exists()


def test_a_run_that_is_terminated_keeps_what_was_measured_and_leaves_no_process(tmp_path: Path) -> None:
    with long_run(tmp_path / "out") as process:
        workers = processes_below(process)

        interrupted(process, tmp_path / "out", signal.SIGTERM)

        assert workers
        assert gone(workers, within_s=30)


def test_ctrl_c_keeps_what_was_measured_and_gives_the_devices_back(tmp_path: Path, joined_ray: str) -> None:
    with long_run(tmp_path / "out", "--address", joined_ray) as process:
        assert came_true(lambda: connection.free_count() == DEVICES - 2, 10)

        interrupted(process, tmp_path / "out", signal.SIGINT)

        assert came_true(lambda: connection.free_count() == DEVICES, 30)


def test_a_killed_run_ends_errored_and_is_resumed_without_repeating_anything(tmp_path: Path, joined_ray: str) -> None:
    with long_run(tmp_path / "out") as process:
        workers = processes_below(process)
        process.kill()
        process.wait(timeout=30)

    (row,) = json.loads(farm("runs", "--json").stdout)
    before = json.loads(farm("report", "latest", "--format", "json").stdout)
    resumed = farm("resume", "latest", "--json")
    after = json.loads(resumed.stdout)

    assert row["verdict"] == before["verdict"] == "errored"
    assert row["reason"].startswith("interrupted: process")
    assert before["trials"]
    assert (resumed.exit_code, after["verdict"], after["resumed_from"]) == (0, "passed", before["run_id"])
    assert all(trial in after["trials"] for trial in before["trials"])
    assert len(after["trials"]) == 2 * REPEATS
    assert all((Path(after["directory"]) / trial["log"]).is_file() for trial in after["trials"])
    assert gone(workers, within_s=GONE_S + 60)


def farm(*words: str) -> Result:
    return CliRunner().invoke(main, words)
