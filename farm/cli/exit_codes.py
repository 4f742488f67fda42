"""The one place where an outcome becomes an exit code.

Python and click end with 1 where nothing else is asked for: an exception nobody caught, Ctrl-C at a prompt, a reader
that closed the pipe. Here 1 means that the program under test is proven wrong, so each of these gets a code of its own.
"""

from __future__ import annotations

import contextlib
import enum
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from farm.errors import FarmError, InfrastructureError, UsageError
from farm.process.extras import named
from kernel.errors import CompileError, DeviceError, KernelLayerError, UnwrittenOutputError

if TYPE_CHECKING:
    from farm.model.run import Verdict


class ExitCode(enum.IntEnum):
    """What `farm` returns to the shell."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    ERRORED = 3


def of_verdict(verdict: Verdict | None) -> ExitCode:
    """Return the exit code of a finished run; a run without a verdict counts as errored."""
    from farm.model.run import Verdict

    codes = {Verdict.PASSED: ExitCode.PASSED, Verdict.FAILED: ExitCode.FAILED}
    return codes.get(verdict, ExitCode.ERRORED) if verdict else ExitCode.ERRORED


def of_error(error: BaseException) -> ExitCode:
    """Return the exit code of an error that ended a command."""
    if isinstance(error, (CompileError, UnwrittenOutputError)):
        return ExitCode.FAILED
    if isinstance(error, (DeviceError, InfrastructureError)):
        return ExitCode.ERRORED
    if isinstance(error, (UsageError, KernelLayerError, click.ClickException)):
        return ExitCode.USAGE
    return ExitCode.ERRORED


class FarmGroup(click.Group):
    """A command group whose every end has the exit code and, where it is an error, the one line that we give it."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run as a program. Where the cluster's head is lost, end at once: Ray would wait for it at exit."""
        if not standalone_mode:
            return super().main(*args, **{**extra, "standalone_mode": False})
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # an ASCII-only terminal gets "?" for "µ", not a traceback
        code = self._ended(args, extra)
        cluster = sys.modules.get("farm.cluster.connection")  # not imported here: Ray is slow to import
        if cluster is not None and cluster.abandoned():
            os._exit(code)
        sys.exit(code)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the arguments, and answer `--help`."""
        with _ends_of_click():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _ends_of_click():
            return super().invoke(ctx)

    def _ended(self, arguments: tuple[Any, ...], extra: dict[str, Any]) -> int:
        """Run the command, and return its exit code once all it has printed is out."""
        try:
            code = _of_exit(super().main(*arguments, **{**extra, "standalone_mode": False}))
        except SystemExit as leaving:
            code = _of_exit(leaving.code)
        except Exception as error:  # noqa: BLE001 - shown, and kept in a log: the last place that sees it
            code = show_error(named(error))
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):  # the reader has gone, or the disk is full: not all has been said
            _discard_output()
            return code or ExitCode.ERRORED
        return code


@contextlib.contextmanager
def _ends_of_click() -> Iterator[None]:
    """Turn what click itself would end with 1 into an error of ours."""
    try:
        yield
    except BrokenPipeError as error:
        raise InfrastructureError("the reader of the output has gone; not everything was printed") from error
    except KeyboardInterrupt as error:
        raise InfrastructureError("interrupted") from error


def _of_exit(code: object) -> int:
    """The exit code that `sys.exit` was called with, or that click returns; text is a message, and nothing proven."""
    if code is None or isinstance(code, int):
        return code or ExitCode.PASSED
    if isinstance(code, str):
        click.echo(code, err=True)
        return ExitCode.ERRORED
    return ExitCode.PASSED  # what a command's function returns is no exit code


def show_error(error: Exception) -> ExitCode:
    """Say in one line what ended the command, and return its exit code."""
    from farm.text import visible

    try:
        if isinstance(error, click.ClickException):
            error.show()  # with the usage
        elif isinstance(error, (click.Abort, KeyboardInterrupt)):
            click.echo("farm: interrupted", err=True)
        elif isinstance(error, FarmError):
            click.echo("farm: " + "\n".join(visible(line) for line in error.lines), err=True)
        elif isinstance(error, KernelLayerError):
            click.echo(f"farm: {visible(str(error))}", err=True)
        elif isinstance(error, OSError) and error.strerror:
            place = f": {error.filename}" if error.filename else ""
            click.echo(f"farm: {visible(error.strerror + place)}", err=True)
        else:
            from farm.process import crash_log

            click.echo(f"farm: {crash_log.kept(error)}", err=True)
    except OSError:  # nobody reads stderr any more
        _discard_output()
    return of_error(error)


def _discard_output() -> None:
    """Keep Python from trying again at exit, where it would complain and change the exit code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError, AttributeError):
            continue  # no file behind it
