"""A node is frozen, or cut off, during a run: a short silence costs nothing, a long one the node; nobody is blamed.

Ray gives a node up after a minute of silence. Here it has settings of seconds; the long forms have Ray's own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import paths
from farm.cluster import connection
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.device_health import DeviceState
from farm.model.run import RunRecord, RunRequest, Verdict
from farm.store.run_store import Store
from jobs.records import Fault, TrialRecord, TrialStatus
from tests import clusters, network_namespaces, ray_node
from tests.fakes import platforms
from tests.farm.validated import run
from tests.network_namespaces import Beyond
from tests.processes import importing_tests
from tests.waiting import came_true, lasting, until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home")]

BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
PER_NODE = 2
GIVEN_UP_S = 8.0  # by a head with the settings of `ray_node.IMPATIENT`, and a little more
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def network() -> Iterator[Beyond | None]:
    """The cable to another machine; None where there can be none."""
    with contextlib.ExitStack() as stack:
        yield None if network_namespaces.unavailable() else stack.enter_context(network_namespaces.beyond())


def cluster_of(network: Beyond | None, settings: dict[str, str]) -> Iterator[Any]:
    """A head without devices and a node of `PER_NODE`, which stays."""
    with pytest.MonkeyPatch.context() as patch, importing_tests():
        for name, value in settings.items():
            patch.setenv(name, value)
        with clusters.cluster(1, PER_NODE, address=network.here if network else "") as started:
            yield started


@pytest.fixture(scope="module")
def impatient(network: Beyond | None) -> Iterator[Any]:
    """A cluster that gives a silent node up after seconds."""
    yield from cluster_of(network, ray_node.IMPATIENT)


@pytest.fixture(scope="module")
def patient(network: Beyond | None) -> Iterator[Any]:
    """A cluster with Ray's own limits."""
    yield from cluster_of(network, {})


@contextlib.contextmanager
def across(cluster: Any, network: Beyond | None, tmp_path: Path) -> Iterator[str]:
    """A node of `PER_NODE` devices at the other end of the cable."""
    if network is None:
        pytest.skip(network_namespaces.unavailable())
    name, log = f"n{next(_NUMBERS)}", tmp_path / "node.log"
    arguments = ray_node.member(cluster.address, network.address, name, PER_NODE)
    with ray_node.running(log, arguments, before=network.command()) as process:

        def there() -> bool:
            assert process.poll() is None, log.read_text()
            return any(node.name.endswith(f"-{name}") for node in connection.nodes().values())

        until(there, 120.0, "the node across the cable")
        yield name
        network.join()
    until(lambda: connection.free_count() == PER_NODE, 120.0, "the end of the node across the cable")


class Once(Observer):
    """Does something in a thread of its own once a trial on the node `name` was measured."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name = name
        self.thread = threading.Thread(target=action)

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        if not self.thread.ident and trial.device.rpartition("/")[0].endswith(f"-{self._name}"):
            self.thread.start()


def validate(out: Path, name: str, action: Callable[[], None], repeats: int) -> RunRecord:
    """A run on two of four devices, of which one is on the node `name`, to which `action` happens."""
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=repeats,
        input_set="documented",
        seed=0,
    )
    watch = Once(name, action)
    record = run(request, SessionOptions(out=out, platform=platforms.TakesASecond, budgets=BUDGETS), watch)
    watch.thread.join()
    return record


def assert_passed_and_nobody_blamed(record: RunRecord, repeats: int) -> None:
    assert record.verdict is Verdict.PASSED, record.reason
    assert len([trial for trial in record.trials if trial.status is TrialStatus.OK]) == 2 * repeats
    assert {trial.failure.fault for trial in record.trials if trial.failure} <= {Fault.NODE}
    with Store.open(paths.store_url()) as store:
        assert store.get(record.run_id).verdict is Verdict.PASSED
        assert {each.state for each in store.health("fake").values()} == {DeviceState.HEALTHY}


def lost_on(record: RunRecord) -> set[str]:
    """Names of the nodes on which trials were lost."""
    return {trial.device.rpartition("/")[0].rpartition("-")[2] for trial in record.trials if trial.failure}


@contextlib.contextmanager
def neighbour(cluster: Any) -> Iterator[tuple[str, int]]:
    """A further node of this machine, and the process of its raylet."""
    number = next(_NUMBERS)
    node = clusters.add_node(cluster, number, PER_NODE)
    [raylet] = node.all_processes["raylet"]
    until(lambda: connection.free_count() == 2 * PER_NODE, 60.0, "the node's devices")
    try:
        yield f"n{number}", raylet.process.pid
    finally:
        cluster.remove_node(node, allow_graceful=False)
    until(lambda: connection.free_count() == PER_NODE, 60.0, "the end of the node")


def stop(pid: int, for_s: float) -> None:
    """Freeze the process, and let it go on after `for_s`."""
    os.kill(pid, signal.SIGSTOP)
    lasting(for_s)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.long
def test_a_raylet_that_is_frozen_for_a_moment_costs_nothing(impatient: Any, tmp_path: Path) -> None:
    """Another cause of the silence that the test of a short cut has."""
    with neighbour(impatient) as (name, raylet):
        record = validate(tmp_path, name, lambda: stop(raylet, 2.0), repeats=4)

        assert_passed_and_nobody_blamed(record, 4)
        assert lost_on(record) == set()
        assert came_true(lambda: connection.free_count() == 2 * PER_NODE, 30.0)


def test_a_raylet_that_stays_frozen_costs_its_node_and_no_verdict(impatient: Any, tmp_path: Path) -> None:
    """Stands for every silence that lasts: a long cut, and a raylet that stays frozen under Ray's own limits."""
    with neighbour(impatient) as (name, raylet):
        record = validate(tmp_path, name, lambda: os.kill(raylet, signal.SIGSTOP), repeats=2 + int(GIVEN_UP_S))

        assert_passed_and_nobody_blamed(record, 2 + int(GIVEN_UP_S))
        assert lost_on(record) == {name}
        assert came_true(lambda: connection.free_count() == PER_NODE, 30.0)
        os.kill(raylet, signal.SIGCONT)


def cut(network: Beyond, for_s: float) -> None:
    """Cut the cable, and join it after `for_s`."""
    network.cut()
    lasting(for_s)
    network.join()


def test_a_short_cut_costs_time_and_nothing_else(impatient: Any, network: Beyond | None, tmp_path: Path) -> None:
    """Stands for every silence that ends: a raylet frozen for a moment, and the cut of 5 s under Ray's own limits."""
    with across(impatient, network, tmp_path) as name:
        assert network is not None
        record = validate(tmp_path, name, lambda: cut(network, 2.0), repeats=4)

        assert_passed_and_nobody_blamed(record, 4)
        assert lost_on(record) == set()
        assert came_true(lambda: connection.free_count() == 2 * PER_NODE, 30.0)


@pytest.mark.long
def test_a_long_cut_costs_the_node_and_no_verdict(impatient: Any, network: Beyond | None, tmp_path: Path) -> None:
    """Another cause of the silence that the test of a raylet that stays frozen has."""
    with across(impatient, network, tmp_path) as name:
        assert network is not None
        record = validate(tmp_path, name, lambda: cut(network, 2 * GIVEN_UP_S), repeats=2 + int(GIVEN_UP_S))

        assert_passed_and_nobody_blamed(record, 2 + int(GIVEN_UP_S))
        assert lost_on(record) == {name}
        assert came_true(lambda: connection.free_count() == PER_NODE, 30.0)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [5.0, 30.0, 90.0])
def test_a_cut_under_rays_own_limits(patient: Any, network: Beyond | None, tmp_path: Path, seconds: float) -> None:
    """The whole form of the tests of a short cut and of a raylet that stays frozen: the run waits, or goes on."""
    with across(patient, network, tmp_path) as name:
        assert network is not None
        record = validate(tmp_path, name, lambda: cut(network, seconds), repeats=6)

        assert_passed_and_nobody_blamed(record, 6)
        assert lost_on(record) <= {name}


@pytest.mark.long
def test_a_raylet_that_stays_frozen_under_rays_own_limits(patient: Any, tmp_path: Path) -> None:
    """The whole form of the test of a raylet that stays frozen."""
    with neighbour(patient) as (name, raylet):
        record = validate(tmp_path, name, lambda: os.kill(raylet, signal.SIGSTOP), repeats=80)

        assert_passed_and_nobody_blamed(record, 80)
        assert lost_on(record) <= {name}
        assert came_true(lambda: connection.free_count() == PER_NODE, 120.0)
        os.kill(raylet, signal.SIGCONT)
