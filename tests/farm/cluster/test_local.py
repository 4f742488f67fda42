"""`farm cluster` with real nodes: they work without anything exported, listen on loopback only, and end completely."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.cluster import endpoint_check, local, ray_internals
from farm.cluster.local import LocalCluster
from farm.errors import InfrastructureError
from farm.process import identity
from farm.store.run_store import Store
from tests.farm import samples
from tests.waiting import came_true

pytestmark = pytest.mark.ray
FARM = [sys.executable, "-c", "from farm.cli.app import main; main()"]
LISTENING = "0A"  # in /proc/net/tcp
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path) -> dict[str, str]:
    """As a user has it who has set nothing."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"FARM_HOME": str(home)}


def farm(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FARM, *arguments], capture_output=True, text=True, check=False, env=environment(home), timeout=240
    )


def at_home(home: Path, *arguments: str) -> Result:
    """A command in this process, for tests in which its process is not the point."""
    return CliRunner().invoke(main, list(arguments), env={"FARM_HOME": str(home)})


def in_session(cluster: LocalCluster) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,sid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [row.split() for row in listed.splitlines()]
    return [int(pid) for pid, session, state in rows if int(session) == cluster.holder.pid and state[0] not in "ZX"]


def listening(pids: list[int]) -> set[str]:
    """Addresses, as the kernel writes them, on which any of `pids` listens."""
    sockets = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            sockets.add(str(descriptor.readlink()))
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].split(":")[0] for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in sockets}


def kill(pid: int) -> None:
    """SIGKILL, and wait until it has worked."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([descriptor], [], [], 30)[0]
    os.close(descriptor)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("farm-home")


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[LocalCluster]:
    """Two nodes of two devices each."""
    two = ["--nodes", "2", "--devices-per-node", "2"]
    done = at_home(home, "cluster", "up", *two, "--soc", "a2a3", "--port", str(free_port()))
    assert done.exit_code == 0, done.output
    found = LocalCluster.model_validate_json((home / "cluster" / "cluster.json").read_text())
    assert f"farm run --address {found.address}" in done.stdout
    yield found
    at_home(home, "cluster", "down")


@pytest.fixture
def with_token(cluster: LocalCluster) -> Iterator[None]:
    with ray_internals.token_from(cluster.token):
        yield


def test_status_shows_nodes_and_devices(cluster: LocalCluster, home: Path) -> None:
    shown = json.loads(at_home(home, "cluster", "status", "--json").stdout)

    assert shown["address"] == cluster.address
    assert [(node["node"], node["devices"], node["soc"], node["alive"]) for node in shown["nodes"]] == [
        (0, 2, "a2a3", True),
        (1, 2, "a2a3", True),
    ]


def test_its_nodes_have_nothing_of_ray_that_nobody_asks(cluster: LocalCluster) -> None:
    running = " ".join(word for pid in in_session(cluster) for word in psutil.Process(pid).cmdline())

    assert "gcs_server" in running
    assert [word for word in ("dashboard/dashboard.py", "log_monitor.py", "monitor.py") if word in running] == []
    assert running.count("dashboard/agent.py") == running.count(" --minimal") == 2


def test_farm_joins_without_anything_exported(cluster: LocalCluster, home: Path) -> None:
    port = cluster.address.rpartition(":")[2]

    listed = farm(home, "devices", "--address", f"localhost:{port}", "--json")

    assert listed.returncode == 0, listed.stderr
    assert len({device["node"] for device in json.loads(listed.stdout)["devices"]}) == 2
    assert len(json.loads(listed.stdout)["devices"]) == 4


def test_farm_top_shows_its_devices_and_who_holds_them(cluster: LocalCluster, home: Path) -> None:
    seen = json.loads(at_home(home, "top", "--address", cluster.address, "--json").stdout)
    ids = [device["id"] for device in seen["devices"]]
    with Store.open(f"sqlite:///{home / 'store.sqlite'}") as store:
        held = samples.device(0).model_copy(update={"id": ids[0]})
        store.begin(samples.running("run-of-one", devices=[held]))

    shown = at_home(home, "top", "--address", cluster.address, "--once")

    assert (seen["address"], seen["free"], seen["runs"], len(ids)) == (cluster.address, 4, [], 4)
    lines = [line.split() for line in shown.stdout.splitlines()]
    devices = lines[lines.index(["device", "state", "held", "by"]) + 1 :]
    assert [(line[0], line[-1]) for line in devices] == [(ids[0], "run-of-one"), *((name, "–") for name in ids[1:])]
    assert "4 devices free" in shown.stdout  # the cluster's word: that run holds none of its leases


def test_nothing_listens_beyond_loopback(cluster: LocalCluster) -> None:
    found = listening(in_session(cluster))

    assert found
    assert found <= LOOPBACK


def test_the_token_is_for_its_owner_only(cluster: LocalCluster) -> None:
    assert stat.S_IMODE(cluster.token.stat().st_mode) == 0o600
    assert stat.S_IMODE(cluster.token.parent.stat().st_mode) == 0o700


def test_without_the_token_nobody_joins(cluster: LocalCluster, tmp_path: Path) -> None:
    other = tmp_path / "token"
    other.write_text("0" * 64)

    with ray_internals.token_from(other), pytest.raises(InfrastructureError, match="RAY_AUTH_TOKEN_PATH"):
        endpoint_check.require(cluster.address)


@pytest.mark.usefixtures("with_token")
def test_another_version_is_named_with_both_sides(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray._private.utils.compute_version_info", lambda: ("2.0.0", "3.10.0"))
    here = f"Python {'.'.join(map(str, sys.version_info[:3]))}"

    with pytest.raises(InfrastructureError, match=rf"runs Ray .* on {here}, this process Ray .*same \.venv"):
        endpoint_check.require(cluster.address)


@pytest.mark.usefixtures("with_token")
def test_a_machine_outside_the_cluster_is_told_to_join(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_internals, "nodes_on_this_machine", set)

    with pytest.raises(InfrastructureError, match=f"ray start --address {cluster.address}"):
        endpoint_check.require(cluster.address)


def test_a_second_one_is_refused(cluster: LocalCluster, home: Path) -> None:
    refused = at_home(home, "cluster", "up")

    assert refused.exit_code == 2
    assert cluster.address in refused.stderr
    assert "farm cluster down" in refused.stderr


def test_a_taken_port_is_refused(cluster: LocalCluster, tmp_path: Path) -> None:
    refused = at_home(tmp_path, "cluster", "up", "--port", cluster.address.rpartition(":")[2])

    assert refused.exit_code == 2
    assert "--port" in refused.stderr


def test_a_lost_node_shows_and_down_ends_the_rest(cluster: LocalCluster, home: Path) -> None:
    lost = cluster.nodes[1].processes[0]
    kill(lost.pid)

    shown = json.loads(at_home(home, "cluster", "status", "--json").stdout)
    ended = farm(home, "cluster", "down")  # also from another process than the one that has started it

    assert [node["alive"] for node in shown["nodes"]] == [True, False]
    assert ended.returncode == 0
    assert in_session(cluster) == []
    assert sorted(path.name for path in (home / "cluster").iterdir()) == ["lock", "nodes.log"]
    assert not cluster.scratch.exists()


def test_down_removes_what_a_killed_cluster_left(tmp_path: Path) -> None:
    started = at_home(tmp_path, "cluster", "up", "--nodes", "1", "--port", str(free_port()))
    assert started.exit_code == 0, started.output
    left = LocalCluster.model_validate_json((tmp_path / "cluster" / "cluster.json").read_text())

    kill(left.holder.pid)
    ended = at_home(tmp_path, "cluster", "down")

    assert (ended.exit_code, ended.stdout) == (0, f"the local cluster at {left.address} has ended\n")
    assert in_session(left) == []
    assert not left.scratch.exists()
    assert not left.token.exists()


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing(tmp_path: Path, with_signal: signal.Signals) -> None:
    arguments = [*FARM, "cluster", "up", "--nodes", "3", "--port", str(free_port())]
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path) | {"PYTHONUNBUFFERED": "1"},
    ) as starting:
        assert starting.stdout is not None
        assert starting.stdout.readline().startswith("node 0 is up")
        begun = LocalCluster.model_validate_json((tmp_path / "cluster" / "cluster.json").read_text())
        starting.send_signal(with_signal)

        assert starting.wait(timeout=60) == 3

    assert in_session(begun) == []
    assert not begun.scratch.exists()
    assert not (tmp_path / "cluster" / "cluster.json").exists()


def test_a_node_that_does_not_start_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path))
    monkeypatch.setattr(local, "START_TIMEOUT_S", 0.01)

    with pytest.raises(InfrastructureError, match=r"node 0 .* did not start"):
        local.up(1, 1, "", free_port(), started=lambda node: None)

    assert local.read() is None


def test_down_with_nothing_up_is_no_error(tmp_path: Path) -> None:
    ended = at_home(tmp_path, "cluster", "down")

    assert (ended.exit_code, ended.stdout) == (0, "no local cluster is up\n")


def test_a_cluster_for_one_process_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        cluster = local.up(1, 1, "", free_port(), lambda node: None, until=identity.of(process.pid))
        try:
            assert in_session(cluster)
            process.kill()
            process.wait()

            assert came_true(lambda: not in_session(cluster), 120), in_session(cluster)
        finally:
            process.kill()
            local.down()
