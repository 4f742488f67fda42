"""The `farm` command: a group of one-file commands."""

from __future__ import annotations

import io
import sys

import click

from farm import __version__
from farm.cli import cluster, devices, doctor, kernel, ledger, report, resume, run, runs, sweep, tune
from farm.cli.exit_codes import FarmGroup


@click.group(cls=FarmGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="farm")
def main() -> None:
    """Validate NPU kernels on many devices at once, and gate merges on the result.

    Exit codes: 0 passed, 1 failed (the kernel's fault), 2 wrong usage or configuration, 3 errored (the farm's or a
    device's fault, or inconclusive).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII-only terminal gets "?" for "µ", not a traceback


main.add_command(run.command, "run")
main.add_command(resume.command, "resume")
main.add_command(runs.command, "runs")
main.add_command(report.command, "report")
main.add_command(devices.command, "devices")
main.add_command(cluster.command, "cluster")
main.add_command(kernel.command, "kernel")
main.add_command(ledger.command, "ledger")
main.add_command(tune.command, "tune")
main.add_command(sweep.command, "sweep")
main.add_command(doctor.command, "doctor")
