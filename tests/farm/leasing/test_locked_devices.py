"""Devices that a program outside of Ray has locked: passed over, waited for, named, and never at fault."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.cluster import connection
from farm.errors import CapacityError
from farm.execution.observer import Observer
from farm.execution.person_lease import LeaseRequest, leased
from farm.execution.session import SessionOptions
from farm.leasing.lock_survey import locked_devices
from farm.model.budgets import Budget
from farm.model.run import RunRecord, RunRequest, Verdict
from farm.monitor.snapshot import take
from farm.process import device_lock
from farm.store.run_store import Store
from jobs.records import TrialRecord
from tests import clusters
from tests.fakes import platforms
from tests.farm.validated import run
from tests.waiting import came_true

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home")]

DEVICES = 2
BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
NAME = "pid={pid} user=alice time=2026-11-30T10:00:00+00:00"


@pytest.fixture(scope="module", autouse=True)
def locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of the lock files, in the environment of the node of a local Ray of two devices."""
    directory = tmp_path_factory.mktemp("locks")
    os.environ[device_lock.VARIABLE] = str(directory)
    with clusters.local(DEVICES):
        yield directory
    del os.environ[device_lock.VARIABLE]


@contextlib.contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the lock within the block, or until its stdin is closed."""
    script = f'exec 9>>"$1"; flock 9; echo "{NAME.format(pid="$$")}" >"$1"; echo held; cat >/dev/null 9>&-'
    command = ["bash", "-c", script, "bash", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
        if other.stdin and not other.stdin.closed:
            other.stdin.close()


class Seen(Observer):
    """What a run shows of locked devices, and which locks are held while it measures."""

    def __init__(self, locks: Path, other: subprocess.Popen[str] | None = None) -> None:
        self._locks = locks
        self._other = other  # ends as soon as it is seen
        self.locked_out: dict[str, str] = {}
        self.unlocked: list[str] = []  # devices that were measured on without their lock

    def locked(self, device: str, who: str) -> None:
        self.locked_out[device] = who
        if self._other is not None and self._other.stdin and not self._other.stdin.closed:
            self._other.stdin.close()

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        index = trial.device.rpartition("/")[2]
        path = self._locks / f"npu_device_{index}.lock"
        if subprocess.run(["flock", "--nonblock", str(path), "true"], check=False).returncode == 0:
            self.unlocked.append(trial.device)


def validate(devices: int, out: Path, wait_s: float, observer: Observer) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=devices,
        repeats=2,
        input_set="documented",
        seed=0,
    )
    how = SessionOptions(out=out, platform=platforms.Honest, budgets=BUDGETS, wait_s=wait_s)
    return run(request, how, observer)


def test_a_locked_device_is_replaced_by_another(locks: Path, tmp_path: Path) -> None:
    seen = Seen(locks)
    with held(locks / "npu_device_0.lock") as other:
        record = validate(DEVICES - 1, tmp_path, 0.0, seen)
        who = f"locked by alice (pid {other.pid}, since 2026-11-30T10:00:00+00:00)"
        node = record.devices[0].node

        assert locked_devices() == {f"{node}/0": who}
    assert record.verdict is Verdict.PASSED, record.reason
    assert sorted(device.index for device in record.devices) == [1]
    assert seen.unlocked == []
    assert seen.locked_out in ({}, {f"{node}/0": who})  # Ray may not have offered it
    with Store.open(os.environ["FARM_STORE"]) as store:
        assert store.device_history("fake", f"{node}/0", 9) == []
    assert came_true(lambda: not any(device_lock.obstacle(index) for index in range(DEVICES)), 30.0)


def test_where_no_other_is_free_the_holder_is_named(locks: Path, tmp_path: Path) -> None:
    with held(locks / "npu_device_1.lock") as other, pytest.raises(CapacityError) as refused:
        validate(DEVICES, tmp_path, 0.0, Observer())

    assert f"/1 is locked by alice (pid {other.pid}, since" in str(refused.value)
    assert came_true(lambda: connection.free_count() == DEVICES, 30.0)


def test_a_run_that_waits_takes_the_device_once_it_is_unlocked(locks: Path, tmp_path: Path) -> None:
    with held(locks / "npu_device_1.lock") as other:
        seen = Seen(locks, other)
        record = validate(DEVICES, tmp_path, 120.0, seen)

    assert record.verdict is Verdict.PASSED, record.reason
    assert [device.rpartition("/")[2] for device in seen.locked_out] == ["1"]
    assert seen.unlocked == []


def test_a_person_s_lease_holds_device_and_lock_and_is_shown_to_all(locks: Path) -> None:
    factory, request = platforms.Honest, LeaseRequest(2, 600.0, "/bin/bash")
    with leased(factory, request, None, print, lambda ahead, waited_s: None, lambda device, who: None) as held_by_us:
        files = [locks / f"npu_device_{index}.lock" for index in held_by_us.indices]
        taken = [subprocess.run(["flock", "--nonblock", str(path), "true"], check=False).returncode for path in files]
        with Store.open(os.environ["FARM_STORE"]) as store:
            look = take(store, "fake", "here")
            told = {device.id: device.lease for device in look.devices}

        assert (taken, held_by_us.locked) == ([1, 1], True)
        assert came_true(lambda: connection.free_count() == DEVICES - 2, 30.0)
        assert [told[device] for device in held_by_us.entry.devices] == [str(held_by_us.entry)] * 2
        assert " for bash" in str(held_by_us.entry)
        assert locked_devices() == {}  # of other queues
    with Store.open(os.environ["FARM_STORE"]) as store:
        assert take(store, "fake", None).leases == ()
    assert came_true(lambda: connection.free_count() == DEVICES, 30.0)
    assert came_true(lambda: not any(device_lock.obstacle(index) for index in range(DEVICES)), 30.0)
