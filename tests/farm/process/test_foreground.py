"""A person's command in the foreground: its exit code, its end, and nothing of it left, with real processes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from farm.process.foreground import Ended, Ending, run
from tests.waiting import came_true

LONG = "exec sleep 600"


def shell(script: str, limit_s: float = 60.0, stop_s: float = 10.0) -> Ended:
    return run(["sh", "-c", script], {**os.environ, "OURS": str(os.getpid())}, limit_s, stop_s=stop_s)


def test_it_has_our_output_and_its_own_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert shell("echo out; echo err >&2; exit 7") == Ended(7, Ending.ITSELF)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_exactly_the_given_environment(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["/usr/bin/env"], {"DEVICE": "5"}, 60.0).code == 0
    assert [line for line in capfd.readouterr().out.splitlines() if not line.startswith(("LC_", "PWD="))] == [
        "DEVICE=5"
    ]


def test_a_signal_is_128_and_its_number_as_in_a_shell() -> None:
    assert shell("kill -9 $$") == Ended(137, Ending.ITSELF)


@pytest.mark.parametrize(("name", "code"), [("/nowhere/program", 127), (__file__, 126)])
def test_what_cannot_be_started_is_said(name: str, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([name], dict(os.environ), 60.0) == Ended(code, Ending.ITSELF)
    assert capfd.readouterr().err.startswith(f"farm: {name}: ")


def test_the_end_of_the_time_is_a_sigterm_and_then_a_sigkill(tmp_path: Path) -> None:
    polite = f"trap 'exit 5' TERM; touch {tmp_path}/up; while :; do sleep 0.1; done"
    assert shell(polite, limit_s=2.0) == Ended(5, Ending.TIME)
    assert shell(f"trap '' TERM; {LONG}", limit_s=0.2, stop_s=0.2) == Ended(137, Ending.TIME)


def test_what_it_leaves_running_is_ended(tmp_path: Path) -> None:
    shell(f"setsid sh -c 'echo $$ > {tmp_path}/pid; {LONG}' & until [ -s {tmp_path}/pid ]; do sleep 0.05; done")

    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("number", ["TERM", "HUP"])
def test_a_signal_to_us_ends_it(number: str) -> None:
    assert shell(f"kill -{number} $OURS; {LONG}") == Ended(143, Ending.INTERRUPT)


def test_an_interrupt_that_no_terminal_has_sent_ends_it() -> None:
    assert shell(f"kill -INT $OURS; kill -INT $OURS; {LONG}") == Ended(143, Ending.INTERRUPT)


def test_ctrl_c_at_the_terminal_is_for_the_command() -> None:
    command = (
        "import sys, time\ntry:\n print('ready', flush=True)\n time.sleep(600)\nexcept KeyboardInterrupt:\n sys.exit(9)"
    )
    script = (
        "import os, sys; from farm.process.foreground import run; "
        "ended = run([sys.executable, '-c', sys.argv[1]], dict(os.environ), 60.0); print(ended.code, ended.why.value)"
    )
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [sys.executable, "-c", script, command])
    seen = b""
    try:
        while b"ready" not in seen:
            seen += os.read(terminal, 1024)
        os.write(terminal, b"\x03")
        while b"itself" not in seen:
            seen += os.read(terminal, 1024)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    assert b"9 itself" in seen


def test_it_ends_with_the_process_that_has_started_it() -> None:
    script = (
        "import os; from farm.process.foreground import run; "
        "run(['sh', '-c', 'echo $$; exec sleep 600'], dict(os.environ), 600.0)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()

    assert came_true(lambda: not psutil.pid_exists(pid), 30.0)


def test_what_the_check_raises_ends_it(tmp_path: Path) -> None:
    def check() -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise ConnectionError("the device is lost")

    with pytest.raises(ConnectionError, match="the device is lost"):
        run(["sh", "-c", f"echo $$ > {tmp_path}/pid; {LONG}"], dict(os.environ), 60.0, check)

    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
