"""The one place where an outcome becomes an exit code."""

from __future__ import annotations

import enum
import os
import sys
from typing import Any

import click

from farm.errors import FarmError, InfrastructureError, UsageError
from farm.model.run import Verdict
from kernel.errors import CompileError, DeviceError, KernelLayerError, UnwrittenOutputError


class ExitCode(enum.IntEnum):
    """What `farm` returns to the shell."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    ERRORED = 3


def of_verdict(verdict: Verdict | None) -> ExitCode:
    """The exit code of a finished run; a run without a verdict counts as errored."""
    codes = {Verdict.PASSED: ExitCode.PASSED, Verdict.FAILED: ExitCode.FAILED}
    return codes.get(verdict, ExitCode.ERRORED) if verdict else ExitCode.ERRORED


def of_error(error: Exception) -> ExitCode:
    """The exit code of an error that ended a command."""
    if isinstance(error, (CompileError, UnwrittenOutputError)):
        return ExitCode.FAILED
    if isinstance(error, (DeviceError, InfrastructureError)):
        return ExitCode.ERRORED
    if isinstance(error, (UsageError, KernelLayerError)):
        return ExitCode.USAGE
    return ExitCode.ERRORED


class FarmGroup(click.Group):
    """A command group that prints our own errors as one line on stderr and returns their exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run as a program. Where the cluster's head is lost, end at once: Ray would wait for it at exit."""
        try:
            return super().main(*args, **extra)
        except SystemExit as leaving:
            cluster = sys.modules.get(
                "farm.cluster.connection"
            )  # not imported here: it imports Ray, which --help need not pay for
            if cluster is None or not cluster.abandoned():
                raise
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(leaving.code if isinstance(leaving.code, int) else ExitCode.ERRORED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; one of our errors ends the process."""
        try:
            return super().invoke(ctx)
        except (FarmError, KernelLayerError) as error:
            click.echo(f"farm: {error}", err=True)
            sys.exit(of_error(error))
        except KeyboardInterrupt:
            click.echo("farm: interrupted", err=True)
            sys.exit(ExitCode.ERRORED)
        except OSError as error:
            click.echo(f"farm: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
            sys.exit(ExitCode.ERRORED)
