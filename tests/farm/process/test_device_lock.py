"""Locks of devices against real processes that hold them, as `npu-lock` and the farm's own workers do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.process.device_lock import VARIABLE, DeviceLock, obstacle
from tests.waiting import came_true

# What `npu-lock` does: an exclusive lock, then one line in the file. Ends when its stdin does.
HOLD = """
import fcntl, os, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
os.ftruncate(file.fileno(), 0)
print(sys.argv[2].format(pid=os.getpid()), end="", file=file, flush=True)
print("held", flush=True)
sys.stdin.read()
"""
LINE = "pid={pid} user=alice time=2026-11-30T10:00:00+00:00\n"

# A worker of the farm that starts a child, says so, and waits to be killed.
WORK = """
import os, subprocess, sys
from farm.process.device_lock import DeviceLock
lock = DeviceLock(3)
assert lock.take(0.0) == ""
if sys.argv[1] == "fork":
    child = os.fork()
    if not child:
        sys.stdin.read()
        os._exit(0)
else:
    child = subprocess.Popen(["sleep", "60"], close_fds=False).pid
print(child, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the lock files."""
    directory = tmp_path / "locks"
    directory.mkdir()
    monkeypatch.setenv(VARIABLE, str(directory))
    return directory


@contextlib.contextmanager
def held(path: Path, line: str = LINE) -> Iterator[subprocess.Popen[str]]:
    """Another process holds `path` within the block, or until its stdin is closed."""
    command = [sys.executable, "-c", HOLD, str(path), line]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
        if other.stdin and not other.stdin.closed:
            other.stdin.close()


def free(path: Path) -> bool:
    """Whether `flock`, as the tool of the system, gets the lock."""
    return subprocess.run(["flock", "--nonblock", str(path), "true"], check=False).returncode == 0


def test_a_lock_keeps_others_out_and_says_who_holds_it(locks: Path) -> None:
    lock = DeviceLock(3)
    assert (lock.take(0.0), lock.held) == ("", True)

    path = locks / "npu_device_3.lock"
    assert path.read_text().startswith(f"pid={os.getpid()} user=")
    assert path.stat().st_mode & 0o777 == 0o666
    assert not free(path)
    assert free(locks / "npu_device_4.lock")

    lock.release()
    lock.release()
    assert free(path)


def test_what_somebody_else_holds_is_left_alone(locks: Path) -> None:
    path = locks / "npu_device_3.lock"
    with held(path) as other:
        words = f"locked by alice (pid {other.pid}, since 2026-11-30T10:00:00+00:00)"
        lock = DeviceLock(3)

        assert (lock.take(0.0), lock.held) == (words, False)
        assert obstacle(3) == words
        assert path.read_text() == LINE.format(pid=other.pid)
        assert obstacle(4) == ""
    assert obstacle(3) == ""


def test_it_waits_for_the_holder_and_says_so(locks: Path) -> None:
    with held(locks / "npu_device_3.lock") as other:
        seen: list[str] = []

        def end_it(words: str) -> None:
            seen.append(words)
            if other.stdin and not other.stdin.closed:
                other.stdin.close()

        lock = DeviceLock(3)
        assert lock.take(60.0, end_it) == ""
    assert seen[0].startswith("locked by alice")
    lock.release()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "an unknown process, which has left no name in the file"),
        ("\x1b[2Jnonsense", "an unknown process, which has left no name in the file"),
        ("pid=4194399 user=bob", "an unknown process; the file names pid 4194399 of bob, which does not run here"),
        ("pid={pid}", "somebody (pid "),
        ("pid={pid} user=\x1b[2J time=x", "\\x1b[2J (pid "),
    ],
)
def test_what_a_holder_writes_is_not_believed(locks: Path, line: str, words: str) -> None:
    with held(locks / "npu_device_3.lock", line):
        assert obstacle(3).startswith(f"locked by {words}")


@pytest.mark.parametrize("how", ["fork", "exec"])
def test_a_killed_worker_s_lock_is_free_though_its_child_lives(locks: Path, how: str) -> None:
    command = [sys.executable, "-c", WORK, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        child = int(worker.stdout.readline())
        assert obstacle(3).startswith("locked by ")
        assert obstacle(3, own=False) == ""

        worker.kill()
        worker.wait(60)
        try:
            assert came_true(lambda: obstacle(3) == "", 30.0)
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


def test_who_is_started_by_the_holder_has_the_device(locks: Path) -> None:
    ask = "from farm.process.device_lock import DeviceLock, obstacle; print(DeviceLock(3).take(0.0), obstacle(3))"
    parent = (
        "import fcntl, os, subprocess, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print(f'pid={os.getpid()} user=alice', file=file, flush=True); subprocess.run(sys.argv[2:], check=True)"
    )
    command = [sys.executable, "-c", parent, str(locks / "npu_device_3.lock"), sys.executable, "-c", ask]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_file_that_was_put_in_the_place_of_a_locked_one_counts(locks: Path) -> None:
    path = locks / "npu_device_3.lock"
    with held(path):
        path.unlink()
        lock = DeviceLock(3)

        assert lock.take(0.0) == ""
        assert not free(path)
    lock.release()


def test_without_a_directory_no_lock_is_looked_at(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with held(locks / "npu_device_3.lock"):
        lock = DeviceLock(3)

        assert (lock.take(0.0), lock.held, obstacle(3)) == ("", False, "")


def test_a_file_that_is_no_lock_file_is_refused(locks: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("as it was")
    (locks / "npu_device_1.lock").symlink_to(tmp_path / "precious")
    (locks / "npu_device_2.lock").hardlink_to(tmp_path / "precious")
    os.mkfifo(locks / "npu_device_3.lock")

    for index in (1, 2, 3):
        assert obstacle(index).startswith(f"cannot be locked: {locks}/npu_device_{index}.lock: ")
        assert DeviceLock(index).take(0.0) == obstacle(index)
    assert (tmp_path / "precious").read_text() == "as it was"


@pytest.mark.parametrize("wrong", ["locks", "/nowhere/locks", __file__])
def test_a_directory_that_is_none_locks_every_device_out(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, wrong)

    words = f"cannot be locked: {wrong}: FARM_DEVICE_LOCKS must name a directory by its full path"
    assert (obstacle(0), DeviceLock(0).take(0.0)) == (words, words)
