"""`farm doctor`: what is missing here and the remedy."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.table import Table

from farm.cli import options
from farm.cli.exit_codes import ExitCode

_STYLE = {"ok": "green", "problem": "bold red", "note": "yellow"}


@click.command()
@options.platform_option
@options.json_option
def command(platform: str, as_json: bool) -> None:
    """Say what is missing on this machine, and the remedy.

    Exit code 0 where the platform can run here, 2 otherwise. What other platforms lack is a note, not a problem.
    """
    from farm.doctor import Diagnosis, conclusion, diagnose

    def show(diagnosis: Diagnosis) -> None:
        console = Console()
        if console.is_terminal:
            table = Table("check", "", "found", "remedy", box=None)
            for each in diagnosis.checks:
                state = each.status.value
                table.add_row(each.name, f"[{_STYLE[state]}]{state}[/]", each.detail, each.remedy)
            console.print(table)
        else:
            for each in diagnosis.checks:
                remedy = f" -> {each.remedy}" if each.remedy else ""
                click.echo(f"{each.status.value:<8} {each.name:<18} {each.detail}{remedy}")
        click.echo(conclusion(diagnosis))

    diagnosis = diagnose(platform)
    if as_json:
        click.echo(diagnosis.model_dump_json(indent=2))
    else:
        show(diagnosis)
    sys.exit(ExitCode.PASSED if diagnosis.ready else ExitCode.USAGE)
