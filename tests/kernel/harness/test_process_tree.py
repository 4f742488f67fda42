"""A command with all it starts: whatever it does and whatever is killed, no process stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kernel.harness.bounded_log import BoundedLog
from kernel.harness.process_tree import Bounds, ProcessExit, Stop, run
from tests.waiting import came_true, until

PATIENCE_S = 60.0  # a busy machine's; what is waited for comes within a second
BOUNDS = Bounds(seconds=PATIENCE_S, stop_seconds=0.2, disk_bytes=64 << 20)
DETACHED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("orphan.tmp", "w").write(str(os.getpid()))
        os.rename("orphan.tmp", "orphan")
        time.sleep(86400)
    os._exit(0)
os.wait()
while not os.path.exists("orphan"):
    time.sleep(0.01)
"""


def python(code: str, directory: Path, bounds: Bounds = BOUNDS) -> tuple[ProcessExit, bytes]:
    printed: list[bytes] = []
    ended = run([sys.executable, "-c", code], directory, dict(os.environ), bounds, printed.append)
    return ended, b"".join(printed)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_output_and_exit_code_come_back(tmp_path: Path) -> None:
    ended, printed = python(
        "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(7)", tmp_path
    )

    assert (ended, printed) == (ProcessExit(7), b"out\nerr\n")


def test_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    assert python("import os; os.kill(os.getpid(), 11)", tmp_path)[0].exit_code == -signal.SIGSEGV


def test_a_command_that_is_not_there_is_a_problem_not_an_error(tmp_path: Path) -> None:
    ended = run(["no-such-command"], tmp_path, dict(os.environ), BOUNDS, lambda data: None)

    assert (ended.exit_code, ended.problem) == (None, "no-such-command: No such file or directory")


def test_the_environment_is_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_SECRET", "hush")
    printed: list[bytes] = []

    run([sys.executable, "-c", "import os; print(*os.environ)"], tmp_path, {"ONE": "1"}, BOUNDS, printed.append)

    names = b"".join(printed).decode().split()
    assert "ONE" in names
    assert "FARM_SECRET" not in names


def test_the_time_limit_ends_the_whole_tree(tmp_path: Path) -> None:
    code = DETACHED + "import signal\nsignal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(86400)"

    ended, _ = python(code, tmp_path, Bounds(seconds=3.0, stop_seconds=0.2, disk_bytes=1 << 20))

    assert ended.stopped is Stop.TIME
    assert ended.exit_code == -signal.SIGKILL
    assert ended.stuck == ()
    assert not (tmp_path / "orphan").exists() or gone(int((tmp_path / "orphan").read_text()))


def test_the_caller_can_end_a_command_before_its_time_is_over(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", "import pathlib, signal; pathlib.Path('begun').touch(); signal.pause()"]

    ended = run(command, tmp_path, dict(os.environ), BOUNDS, lambda data: None, give_up=begun.exists)

    assert ended.stopped is Stop.TIME


def test_what_a_command_leaves_behind_is_killed_and_named(tmp_path: Path) -> None:
    ended, _ = python(DETACHED, tmp_path)

    assert (ended.exit_code, ended.stopped) == (0, Stop.NONE)
    assert len(ended.left) == 1
    assert gone(int((tmp_path / "orphan").read_text()))


def test_a_command_that_kills_its_supervisor_leaves_nothing_either(tmp_path: Path) -> None:
    ended, _ = python(DETACHED + "os.kill(os.getppid(), 9)\ntime.sleep(86400)", tmp_path)

    assert ended.exit_code is None
    until(lambda: gone(int((tmp_path / "orphan").read_text())))


def test_the_quota_ends_a_command_that_fills_the_disk(tmp_path: Path) -> None:
    code = "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'wb').write(b'x' * (1 << 20))"

    ended, _ = python(code, tmp_path, Bounds(seconds=PATIENCE_S, stop_seconds=0.0, disk_bytes=8 << 20))

    assert ended.stopped is Stop.QUOTA
    assert ended.used_bytes > 8 << 20


def test_a_full_disk_ends_a_command_whoever_filled_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr("kernel.harness.process_tree.shutil.disk_usage", lambda directory: full)

    ended, _ = python("import time; time.sleep(86400)", tmp_path)

    assert ended.stopped is Stop.DISK


def test_one_file_cannot_grow_beyond_the_quota(tmp_path: Path) -> None:
    code = "f = open('one', 'wb')\nwhile True:\n    f.write(b'x' * (1 << 20))"

    ended, _ = python(code, tmp_path, Bounds(seconds=PATIENCE_S, stop_seconds=0.0, disk_bytes=8 << 20))

    assert (tmp_path / "one").stat().st_size <= 8 << 20
    assert ended.exit_code != 0


def test_the_tree_ends_with_its_worker_though_all_the_workers_children_are_killed(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import os, sys\nfrom pathlib import Path\nfrom kernel.harness.process_tree import Bounds, run\n"
        f"code = {DETACHED + 'time.sleep(86400)'!r}\n"
        f"place = Path({str(tmp_path)!r})\n"
        "run([sys.executable, '-c', code], place, dict(os.environ), Bounds(600, 0.1, 1 << 30), print)\n"
    )
    started = subprocess.Popen([sys.executable, str(worker)])
    until((tmp_path / "orphan").exists)

    children = psutil.Process(started.pid).children()
    for process in children:  # as Ray does with a worker it kills
        process.kill()
    started.kill()
    started.wait()

    assert came_true(lambda: gone(int((tmp_path / "orphan").read_text())), 60)


def test_an_error_of_the_reader_ends_the_tree_first(tmp_path: Path) -> None:
    def refuse(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run(
            [sys.executable, "-c", DETACHED + "print('x', flush=True)\ntime.sleep(86400)"],
            tmp_path,
            dict(os.environ),
            BOUNDS,
            refuse,
        )

    until(lambda: gone(int((tmp_path / "orphan").read_text())))


def test_a_bounded_log_keeps_the_beginning_and_the_end(tmp_path: Path) -> None:
    with BoundedLog(tmp_path / "log", 1000) as log:
        for number in range(10_000):
            log.write(b"%06d\n" % number)

    lines = (tmp_path / "log").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("000000", "009999")
    assert (tmp_path / "log").stat().st_size < 1200
    assert any("bytes left out" in line for line in lines)


def test_a_bounded_log_with_room_keeps_everything(tmp_path: Path) -> None:
    with BoundedLog(tmp_path / "log", 1000) as log:
        log.write(b"a" * 700)
        log.write(b"b" * 300)

    assert (tmp_path / "log").read_bytes() == b"a" * 700 + b"b" * 300
