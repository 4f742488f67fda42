"""A head whose memory is in Redis is killed and comes back: runs on other nodes go on (Ray's GCS fault tolerance)."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from farm.cluster import connection
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import RunRecord, RunRequest, Verdict
from jobs.records import TrialRecord, TrialStatus
from tests import ray_node
from tests.fakes import platforms
from tests.farm.validated import run
from tests.waiting import came_true, lasting, until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home")]

BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
DEVICES = 2
AWAY_S = 4.0


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str]:
    """A Redis of the tests' own, as HOST:PORT."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    port = ray_node.free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--appendonly", "yes"]
    with (directory / "redis.log").open("wb") as log:
        server = subprocess.Popen([*command, "--save", ""], stdout=log, stderr=log)
    try:
        until(lambda: _listens(port), 30.0, "a Redis that listens")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(slots=True)
class Cluster:
    """A head without devices, and a node with `DEVICES` to which this process is connected."""

    address: str
    arguments: list[str]  # of the head
    environment: dict[str, str]
    directory: Path
    heads: list[subprocess.Popen[bytes]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)

    def start_head(self) -> None:
        """Start the head, or start it again at the same address."""
        log = self.directory / f"head-{len(self.heads)}.log"
        # A directory for each: in one that has the address of a head, Ray takes the node on this machine for that head.
        own = tempfile.mkdtemp(prefix="farm-")
        self.directories.append(own)
        self.heads.append(ray_node.start(log, [*self.arguments, f"--temp-dir={own}"], environment=self.environment))
        ray_node.answers(self.heads[-1], self.address, log)

    def end(self) -> None:
        """End its heads."""
        for head in self.heads:
            ray_node.kill(head)
        for own in self.directories:
            shutil.rmtree(own, ignore_errors=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    import ray

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    here, port = ray.util.get_node_ip_address(), ray_node.free_port()
    with contextlib.ExitStack() as stack:
        # The directory tells the driver which node is its own: on this machine it would join the head's.
        of_member = stack.enter_context(tempfile.TemporaryDirectory(prefix="farm-", ignore_cleanup_errors=True))
        environment = {
            "RAY_REDIS_ADDRESS": stack.enter_context(redis(tmp_path)),
            "RAY_external_storage_namespace": "farm-tests",
        }
        made = Cluster(f"{here}:{port}", ray_node.head(port, here), environment, tmp_path)
        stack.callback(made.end)
        made.start_head()
        member = [*ray_node.member(made.address, here, "n0", DEVICES), f"--temp-dir={of_member}"]
        stack.enter_context(ray_node.running(tmp_path / "node.log", member))
        stack.callback(ray.shutdown)
        ray.init(address=made.address, _temp_dir=of_member, log_to_driver=False, logging_level=logging.ERROR)
        until(lambda: connection.free_count() == DEVICES, 60.0, "the node's devices")
        yield made


class AtFirstTrial(Observer):
    """Does something in a thread of its own as soon as the run has measured a trial."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        if not self._thread.ident:
            self._thread.start()


def validate(out: Path, thread: threading.Thread, repeats: int) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=DEVICES,
        repeats=repeats,
        input_set="documented",
        seed=0,
    )
    options = SessionOptions(out=out, platform=platforms.TakesASecond, budgets=BUDGETS)
    return run(request, options, AtFirstTrial(thread))


def test_a_run_goes_on_while_its_head_is_killed_and_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    def kill_and_start() -> None:
        ray_node.kill(cluster.heads[0])
        lasting(AWAY_S)
        cluster.start_head()

    restart = threading.Thread(target=kill_and_start)
    record = validate(tmp_path / "runs", restart, repeats=12)
    restart.join()

    assert record.verdict is Verdict.PASSED, record.reason
    assert len([trial for trial in record.trials if trial.status is TrialStatus.OK]) == 12 * DEVICES
    assert [trial for trial in record.trials if trial.failure] == []
    assert came_true(lambda: connection.free_count() == DEVICES, 60.0)

    after = validate(tmp_path / "runs", threading.Thread(target=lambda: None), repeats=1)

    assert after.verdict is Verdict.PASSED, after.reason
