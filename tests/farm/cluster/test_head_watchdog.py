"""A cluster that loses its head: noticed in time, and the run that was under way is errored and can be resumed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from farm.cli.app import main
from farm.cluster import endpoint_check
from farm.cluster.head_watchdog import HeadLostError, HeadWatchdog
from tests.fakes import ray_head
from tests.fakes.installed import install
from tests.fakes.platforms import SECONDS
from tests.waiting import came_true

FARM = [sys.executable, "-c", "from farm.cli.app import main; main()"]


def test_a_head_that_answers_is_never_lost_and_one_that_stops_answering_is() -> None:
    """Its port stays open: only an answer of the service counts."""
    with ray_head.running() as head:
        watch = HeadWatchdog(head.address, lost_after_s=1.5, look_s=0.2)
        assert not came_true(lambda: watch.lost, 3.0)
        watch.check()
        assert watch.answers()

        head.freeze()
        assert came_true(lambda: watch.lost)
        assert not watch.answers()
        with pytest.raises(HeadLostError, match=f"head node of the cluster, {head.address}, has not answered"):
            watch.check()

        head.thaw()
        assert came_true(lambda: not watch.lost)
        watch.stop()


def test_a_head_that_refuses_us_is_there() -> None:
    with ray_head.running() as head:
        head.refuses = True
        assert endpoint_check.answers(head.address, 5.0)
    assert not endpoint_check.answers(head.address, 0.5)


def test_an_open_port_without_a_service_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not endpoint_check.answers(f"127.0.0.1:{server.getsockname()[1]}", 0.5)


def farm(home: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*FARM, *arguments], capture_output=True, text=True, check=False, env=env(home), **more)


def asked(home: Path, *words: str) -> Any:
    """What a command answers as JSON."""
    return json.loads(CliRunner().invoke(main, words, env=env(home)).stdout)


def env(home: Path) -> dict[str, str]:
    return {**os.environ, "FARM_STORE": f"sqlite:///{home / 'store.sqlite'}", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def cluster(tmp_path: Path, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Two nodes of one device each, in a farm home of their own that shares the cache of the tests.

    Its platform `fake` takes three seconds a trial: a run of fourteen is not through when the loss is noticed.
    """
    install(tmp_path / "site", monkeypatch, {"fake": "tests.fakes.platforms:TakesThreeSeconds"})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    up = farm(tmp_path, "cluster", "up", "--nodes", "2", "--devices-per-node", "1", "--port", port)
    assert up.returncode == 0, up.stderr
    yield asked(tmp_path, "cluster", "status", "--json")
    farm(tmp_path, "cluster", "down")


@pytest.mark.ray
def test_a_run_whose_head_dies_is_errored_and_resumed_elsewhere(
    tmp_path: Path, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    what = ["--platform", "fake", "--case", "tiny", "--devices", "2", "--repeats", "14"]
    command = [*FARM, "run", *what, "--address", cluster["address"], "--out", str(tmp_path / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env(tmp_path)) as process:
        assert process.stdout is not None
        assert any("repeat 0" in line for line in process.stdout)
        for pid in cluster["nodes"][0]["pids"]:
            os.kill(pid, signal.SIGKILL)
        said = process.stdout.read()
        assert process.wait() == 3, said
    assert "errored  the head node of the cluster" in said

    before = asked(tmp_path, "report", "latest", "--format", "json")
    monkeypatch.setenv(SECONDS, "0")
    resumed = farm(tmp_path, "resume", "latest", "--json", timeout=240)
    after = json.loads(resumed.stdout)

    assert (resumed.returncode, after["verdict"], after["resumed_from"]) == (0, "passed", before["run_id"])
    assert len(before["trials"]) > 2
    kept = [trial for trial in before["trials"] if trial["status"] == "ok"]
    assert all(trial in after["trials"] for trial in kept)
    assert len(after["trials"]) == 28


@pytest.mark.ray
@pytest.mark.parametrize("interrupt", [False, True], ids=["until-it-is-lost", "and-ended-by-sigterm"])
def test_a_run_whose_head_freezes_ends(tmp_path: Path, cluster: dict[str, Any], interrupt: bool) -> None:
    what = ["--platform", "fake", "--case", "tiny", "--devices", "2", "--repeats", "30"]
    command = [*FARM, "run", *what, "--address", cluster["address"], "--out", str(tmp_path / "runs")]
    frozen: list[int] = []
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env(tmp_path)) as process:
            assert process.stdout is not None
            assert any("repeat 0" in line for line in process.stdout)
            frozen = [pid for pid in cluster["nodes"][0]["pids"] if "gcs_server" in psutil.Process(pid).name()]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            begun = time.monotonic()
            if interrupt:
                process.terminate()
            said = process.stdout.read()
            assert process.wait() == 3, said
            took_s = time.monotonic() - begun
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert frozen
    assert took_s < (10 if interrupt else 75)
    assert ("interrupted" if interrupt else "errored  the head node of the cluster") in said
    assert list((tmp_path / "runs").glob("*/report.json"))
