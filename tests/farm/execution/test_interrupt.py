"""A real `farm run` process, interrupted and killed: what was measured is kept, and the run ends with one verdict."""

from __future__ import annotations

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
from tests.waiting import came_true

pytestmark = [pytest.mark.ray, pytest.mark.sim]


GONE_S = 5  # for how long a node of Ray looks for a head that is gone, a minute otherwise


@pytest.fixture
def long_run(tmp_path: Path, at_home: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of many repeats that has measured at least one. Its store is the one that `at_home` names."""
    words = ["run", "--case", "tiny", "--devices", "2", "--repeats", "200", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", "from farm.cli.app import main; main()", *words]
    more = {"PYTHONUNBUFFERED": "1", "RAY_gcs_rpc_server_reconnect_timeout_s": str(GONE_S)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **more}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "repeat 0" in line:
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


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_measured(
    long_run: subprocess.Popen[str], tmp_path: Path, with_signal: signal.Signals
) -> None:
    workers = processes_below(long_run)

    long_run.send_signal(with_signal)

    assert long_run.wait(timeout=60) == 3
    (directory,) = (tmp_path / "out").iterdir()
    report = json.loads((directory / "report.json").read_text())
    assert (report["verdict"], report["reason"]) == ("errored", "interrupted")
    assert len(report["trials"]) >= 1
    assert (directory / "junit.xml").exists()
    assert workers
    assert gone(workers, within_s=30)


def test_a_killed_run_ends_errored_in_the_store(long_run: subprocess.Popen[str], tmp_path: Path) -> None:
    workers = processes_below(long_run)

    long_run.kill()
    long_run.wait(timeout=30)

    (row,) = json.loads(farm("runs", "--json").stdout)
    assert row["verdict"] == "errored"
    assert "interrupted" in row["reason"]
    assert len(json.loads(farm("report", "latest", "--json").stdout)["trials"]) >= 1
    assert gone(workers, within_s=GONE_S + 60)


def farm(*words: str) -> Result:
    return CliRunner().invoke(main, words)
