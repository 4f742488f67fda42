"""`farm budgets`: the limits kernels are held to."""

from __future__ import annotations

import json
import sys

import click

from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.errors import UsageError
from farm.execution import preflight
from farm.text import counted
from jobs.kernel_process.described import kernel_of
from kernel.errors import KernelLayerError
from kernel.registry import kernel_names


@click.group()
def command() -> None:
    """Check the budget files of kernels."""


@command.command()
@click.argument("kernels", metavar="[KERNEL]...", nargs=-1)
@options.json_option
@announced("checking budgets: {kernels}")
def check(kernels: tuple[str, ...], as_json: bool) -> None:
    """Check the budget file of each KERNEL, installed or named by its file; without one, of every installed kernel.

    A key, case or platform that does not exist, a value of the wrong form, a ceiling without a source and a ratchet on
    a platform with a measured clock are errors, one line each. Exit code 2 where there is one.
    """
    rows = []
    for name in kernels or kernel_names():
        limits, problem = 0, ""
        try:
            limits = preflight.require_budgets(kernel_of(name))
        except (UsageError, KernelLayerError) as error:
            problem = str(error)
            click.echo(f"{name}: {problem}", err=True)
        rows.append({"kernel": name, "budgets": limits, "problem": problem})
        if not as_json and not problem:
            click.echo(f"{name}: {counted(limits, 'budget')}")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    if any(row["problem"] for row in rows):
        sys.exit(ExitCode.USAGE)
