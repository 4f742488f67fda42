"""A cluster that loses its head: noticed in time, and the run that was under way is errored and can be resumed."""

from __future__ import annotations

import contextlib
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
from farm.cluster import endpoint_check, head_watchdog, local
from farm.cluster.head_watchdog import HeadLostError, HeadWatchdog
from farm.cluster.local import LocalCluster
from farm.errors import UsageError
from tests.fakes import ray_head
from tests.fakes.installed import install
from tests.fakes.platforms import SECONDS
from tests.waiting import came_true

FARM = [sys.executable, "-c", "from farm.cli.app import main; main()"]


def test_a_head_that_answers_is_never_lost_and_one_that_stops_answering_is() -> None:
    """Its port stays open: only an answer of the service counts."""
    with ray_head.running() as head:
        watch = HeadWatchdog(head.address, lost_after_s=1.0, look_s=0.1)
        assert not came_true(lambda: watch.lost, 2.0)
        watch.check()
        assert watch.answers()

        head.freeze()
        assert came_true(lambda: watch.lost)
        assert not watch.answers()
        with pytest.raises(HeadLostError, match=f"head node of the cluster, {head.address}, has not answered for 1 s"):
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


@pytest.mark.parametrize(("text", "rays", "seconds"), [("", "", 30), ("1", "", 1), ("50", "", 50), ("110", "120", 110)])
def test_how_long_a_head_may_be_silent_is_a_setting_below_rays_own(
    monkeypatch: pytest.MonkeyPatch, text: str, rays: str, seconds: float
) -> None:
    setting(monkeypatch, text, rays)

    assert head_watchdog.lost_after_s() == seconds


@pytest.mark.parametrize(("text", "rays"), [("51", ""), ("111", "120"), ("0", ""), ("soon", ""), ("nan", "")])
def test_another_setting_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, text: str, rays: str) -> None:
    setting(monkeypatch, text, rays)

    with pytest.raises(UsageError, match=f"FARM_HEAD_LOST_AFTER is '{text}'; use a number of seconds from 1 to"):
        head_watchdog.lost_after_s()


def setting(monkeypatch: pytest.MonkeyPatch, text: str, rays: str) -> None:
    for name, value in ((head_watchdog.VARIABLE, text), ("RAY_gcs_rpc_server_reconnect_timeout_s", rays)):
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)


SILENT_S = "4"  # in place of 30
SECONDS_A_TRIAL = "1.5"
# Two devices: not through when the loss is noticed, some seconds after `SILENT_S` on a busy machine.
REPEATS = 12


def env(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FARM_STORE": f"sqlite:///{home / 'store.sqlite'}",
        "PYTHONUNBUFFERED": "1",
        SECONDS: SECONDS_A_TRIAL,
        head_watchdog.VARIABLE: SILENT_S,
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, farm_home: Path) -> Iterator[LocalCluster]:
    """Two nodes of one device each. Its platform `fake` takes a while for a trial. A test ends its head for good."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_HOME", str(farm_home))
        patch.setenv(local.DIRECTORY, str(tmp_path_factory.mktemp("cluster")))
        install(tmp_path_factory.mktemp("site"), patch, {"fake": "tests.fakes.platforms:TakesASecond"})
        patch.setenv(SECONDS, SECONDS_A_TRIAL)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield local.up(2, 1, "", port, lambda node: None)
        local.down()


@contextlib.contextmanager
def measuring(home: Path, cluster: LocalCluster, repeats: int = REPEATS) -> Iterator[subprocess.Popen[str]]:
    """A `farm run` as a process, whose first trials have ended."""
    what = ["--platform", "fake", "--case", "tiny", "--devices", "2", "--repeats", str(repeats)]
    command = [*FARM, "run", *what, "--address", cluster.address, "--out", str(home / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env(home)) as process:
        assert process.stdout is not None
        assert any("repeat 0" in line for line in process.stdout)
        yield process


def ending(process: subprocess.Popen[str]) -> str:
    """What it prints until it has ended with exit code 3."""
    assert process.stdout is not None
    printed = process.stdout.read()
    assert process.wait() == 3, printed
    return " ".join(printed.split())  # it wraps its lines


def head_processes(cluster: LocalCluster, name: str) -> list[int]:
    return [each.pid for each in cluster.nodes[0].processes if name in psutil.Process(each.pid).name()]


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.ray
@pytest.mark.parametrize(
    "interrupt", [pytest.param(False, marks=pytest.mark.long), True], ids=["until-it-is-lost", "and-ended-by-sigterm"]
)
def test_a_run_whose_head_freezes_ends(tmp_path: Path, cluster: LocalCluster, interrupt: bool) -> None:
    """For one until it is lost stand the watchdog's own tests, and the run whose head dies."""
    with measuring(tmp_path, cluster) as process, frozen(head_processes(cluster, "gcs_server")):
        begun = time.monotonic()
        if interrupt:
            process.terminate()
        printed = ending(process)
        took_s = time.monotonic() - begun

    assert took_s < (10 if interrupt else 35)
    assert ("interrupted" if interrupt else f"has not answered for {SILENT_S} s") in printed
    assert list((tmp_path / "runs").glob("*/report.json"))


@pytest.mark.ray
def test_a_run_whose_own_raylet_is_frozen_goes_on(tmp_path: Path, cluster: LocalCluster) -> None:
    """Calls go from the driver to the workers and back; the raylet between them is needed for new processes alone."""
    with measuring(tmp_path, cluster, repeats=4) as process, frozen(head_processes(cluster, "raylet")):
        assert process.stdout is not None
        printed = process.stdout.read()
        code = process.wait()

    assert code == 0, printed
    assert "passed" in printed
    assert list((tmp_path / "runs").glob("*/report.json"))


@pytest.mark.ray
def test_a_run_whose_head_dies_is_errored_and_resumed_elsewhere(
    tmp_path: Path, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with measuring(tmp_path, cluster) as process:
        for each in cluster.nodes[0].processes:
            os.kill(each.pid, signal.SIGKILL)
        printed = ending(process)
    assert "errored the head node of the cluster" in printed

    for name, value in {**env(tmp_path), SECONDS: "0", "FARM_SIM_DEVICES": "2"}.items():
        monkeypatch.setenv(name, value)
    before = asked("report", "latest", "--format", "json")
    after = asked("resume", "latest", "--json", "--out", str(tmp_path / "resumed"))

    assert (after["verdict"], after["resumed_from"]) == ("passed", before["run_id"])
    kept = [trial for trial in before["trials"] if trial["status"] == "ok"]
    assert len(kept) >= 2
    assert all(trial in after["trials"] for trial in kept)
    assert len(after["trials"]) == 2 * REPEATS


def asked(*words: str) -> Any:
    """What a command answers as JSON; `resume` starts a Ray of its own."""
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)
