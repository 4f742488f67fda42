"""`farm doctor`: what is missing here and the remedy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.report.console import NamedRows, output_console

if TYPE_CHECKING:
    from farm.doctor import DoctorCheck

_STYLE = {"ok": "green", "problem": "bold red", "note": "yellow"}


@click.command()
@options.platform_option
@options.json_option
@announced("looking at what is installed")
def command(platform: str, as_json: bool) -> None:
    """Say what is missing on this machine, and the remedy.

    Exit code 0 where the platform can run here, 2 otherwise. What only other platforms lack is a note.
    """
    from farm.doctor import conclusion, diagnose  # imports torch, which `farm --help` need not wait for

    diagnosis = diagnose(platform)
    if as_json:
        click.echo(diagnosis.model_dump_json(indent=2))
    else:
        console = output_console()
        if console.is_terminal:
            console.print(_table(diagnosis.checks))
        else:
            for check in diagnosis.checks:
                click.echo(_line(check))
        click.echo(conclusion(diagnosis))
    sys.exit(ExitCode.PASSED if diagnosis.ready else ExitCode.USAGE)


def _table(checks: list[DoctorCheck]) -> Table:
    table = NamedRows()
    for heading in ("check", "", "found", "remedy"):
        table.add_column(heading)
    for check in checks:
        state = Text(check.status.value, style=_STYLE[check.status.value])
        table.add_row(check.name, state, Text(check.detail), Text(check.remedy))
    return table


def _line(check: DoctorCheck) -> str:
    remedy = f"; remedy: {check.remedy}" if check.remedy else ""
    return f"{check.status.value:<8} {check.name:<17} {check.detail}{remedy}"
