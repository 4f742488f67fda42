from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from farm.cli.exit_codes import ExitCode, FarmGroup, of_error, of_verdict
from farm.errors import CapacityError, InfrastructureError, UsageError
from farm.model.run import Verdict
from kernel.errors import CompileError, DeviceError, GuardError, TensorError, UnknownNameError, UnwrittenOutputError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CompileError("F21004", "matmul", "tile too large"), ExitCode.FAILED),
        (UnwrittenOutputError("output 'q': 3 of 8 elements never written"), ExitCode.FAILED),
        (UsageError("--devices 0"), ExitCode.USAGE),
        (CapacityError(9, 8, "the cluster has", "ask for less"), ExitCode.USAGE),
        (UnknownNameError("case", "huge", ["tiny"]), ExitCode.USAGE),
        (GuardError("D / split_k", 4096, 3, "choose a divisor"), ExitCode.USAGE),
        (TensorError("wkv has shape [1]"), ExitCode.USAGE),
        (DeviceError("507014", "timeout"), ExitCode.ERRORED),
        (InfrastructureError("no Ray"), ExitCode.ERRORED),
        (RuntimeError("anything else"), ExitCode.ERRORED),
    ],
)
def test_an_error_ends_with_the_code_of_whose_fault_it_is(error: Exception, code: ExitCode) -> None:
    assert of_error(error) is code


def test_only_a_pass_is_zero() -> None:
    assert of_verdict(Verdict.PASSED) == 0
    assert [of_verdict(verdict) for verdict in (Verdict.FAILED, Verdict.ERRORED, None)] == [1, 3, 3]


def ended(work: Callable[[], object], tmp_path: Path) -> Result:
    """How a command that does `work` ends."""

    @click.group(cls=FarmGroup)
    def group() -> None:
        pass

    @group.command("work")
    def command() -> object:
        return work()

    return CliRunner().invoke(group, ["work"], env={"FARM_HOME": str(tmp_path / "home")})


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ValueError("no such\nthing"), 3, "farm: unexpected ValueError: no such thing; "),
        (MemoryError(), 3, "farm: unexpected MemoryError; "),
        (RecursionError("deep"), 3, "farm: unexpected RecursionError: deep; "),
        (KeyboardInterrupt(), 3, "farm: interrupted"),
        (click.Abort(), 3, "farm: interrupted"),
        (BrokenPipeError(32, "Broken pipe"), 3, "farm: the reader of the output has gone"),
        (OSError(28, "No space left on device", "/a\x1b[2Jb"), 3, r"farm: No space left on device: /a\x1b[2Jb"),
        (click.FileError("x", "gone"), 2, "Error: Could not open file 'x': gone"),
        (UsageError("a name with \x1b[31m in it\n\ud800"), 2, r"farm: a name with \x1b[31m in it\n\ud800"),
        (SystemExit("said in words"), 3, "said in words"),
        (SystemExit(None), 0, ""),
        (SystemExit(2), 2, ""),
        (SystemExit(1), 1, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_end_of_a_command_has_its_code_and_at_most_one_line(
    error: BaseException, code: int, says: str, tmp_path: Path
) -> None:
    result = ended(raising(error), tmp_path)

    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(says)
    assert len(result.stderr.splitlines()) == bool(says)


def test_the_traceback_of_what_nobody_planned_for_is_in_the_log_that_is_named(tmp_path: Path) -> None:
    result = ended(raising(ZeroDivisionError("a reason")), tmp_path)

    (log,) = (tmp_path / "home" / "logs").iterdir()
    assert str(log) in result.stderr
    assert "ZeroDivisionError: a reason" in log.read_text()


def test_what_a_command_returns_is_no_exit_code(tmp_path: Path) -> None:
    assert ended(lambda: ["a", "list"], tmp_path).exit_code == 0


def test_a_reader_that_closes_the_pipe_early_does_not_look_like_a_failed_kernel(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from farm.cli.app import main; main()", "--help"]

    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
