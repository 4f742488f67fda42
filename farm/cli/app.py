"""The `farm` command: a group of one-file commands."""

from __future__ import annotations

import io
import sys
from importlib.metadata import EntryPoint, entry_points

import click

from farm import __version__
from farm.cli import (
    bisect,
    cluster,
    compare,
    completion,
    devices,
    doctor,
    harness,
    init,
    kernel,
    ledger,
    report,
    resume,
    run,
    runs,
    sweep,
    test,
    top,
    trace,
    trends,
    tune,
)
from farm.cli.exit_codes import FarmGroup
from farm.errors import UsageError

COMMANDS = "farm.commands"  # entry points of packages that bring commands: name = "module:click command"


class Commands(FarmGroup):
    """The farm's own commands, and those of other packages, which are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names. Nothing is imported for them."""
        return sorted({*super().list_commands(ctx), *entry_points(group=COMMANDS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; the farm's own come first, so that none can be replaced."""
        own = super().get_command(ctx, cmd_name)
        found = () if own else tuple(entry_points(group=COMMANDS, name=cmd_name))
        return _brought(found[0]) if found else own


def _brought(entry: EntryPoint) -> click.Command:
    """A package's command, or one that says why it is not to be had: the others must go on working."""
    try:
        found = entry.load()
        problem = "" if isinstance(found, click.Command) else f"{entry.value} is no click command"
    except Exception as error:  # noqa: BLE001 - not swallowed: whoever calls the command is told; imports raise anything
        found, problem = None, " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(found, click.Command):
        return found
    package = f" of {entry.dist.name}" if entry.dist else ""

    def refuse() -> None:
        raise UsageError(f"the command '{entry.name}'{package} cannot be loaded: {problem}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    text = "Cannot be loaded; call it to see why."
    return click.Command(entry.name, anything, callback=refuse, help=text, add_help_option=False)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="farm")
def main() -> None:
    """Validate NPU kernels on many devices at once, and gate merges on the result.

    Exit codes: 0 passed, 1 failed (the kernel's fault), 2 wrong usage or configuration, 3 errored (the farm's or a
    device's fault, or inconclusive).

    \b
    Environment:
      FARM_HOME         where the store and the caches are; default: the user's data directory
      FARM_STORE        SQLAlchemy URL of the store; default: a SQLite file in FARM_HOME
      FARM_SIM_DEVICES  devices of a local simulated cluster; default: 8

    \b
    `farm COMMAND --help` explains each command; `farm completion --help` makes the shell complete them.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII-only terminal gets "?" for "µ", not a traceback


main.add_command(run.command, "run")
main.add_command(init.command, "init")
main.add_command(test.command, "test")
main.add_command(resume.command, "resume")
main.add_command(runs.command, "runs")
main.add_command(report.command, "report")
main.add_command(devices.command, "devices")
main.add_command(cluster.command, "cluster")
main.add_command(kernel.command, "kernel")
main.add_command(ledger.command, "ledger")
main.add_command(compare.command, "compare")
main.add_command(top.command, "top")
main.add_command(trace.command, "trace")
main.add_command(bisect.command, "bisect")
main.add_command(trends.command, "trends")
main.add_command(tune.command, "tune")
main.add_command(sweep.command, "sweep")
main.add_command(harness.command, "harness")
main.add_command(doctor.command, "doctor")
main.add_command(completion.command, "completion")
