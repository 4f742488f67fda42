"""`farm runs`: what has been run, newest first; `farm runs settle | import`."""

from __future__ import annotations

import dataclasses
import getpass
import json
import socket
import sys
from datetime import datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from farm import paths
from farm.cli.first_line import announced
from farm.cli.options import json_option, refuse_options_before
from farm.model.run import Verdict
from farm.report.console import NamedRows, output_console
from farm.report.run.terminal import verdict_text
from farm.source.kernel_identity import recorded_name
from farm.store import run_settlement
from farm.store.row_mapping import RunSummary
from farm.store.run_import import bring_in
from farm.store.run_store import Store
from farm.text import microseconds, one_line
from kernel.clock import Clock

_WIDE = 96  # columns from which the local time fits too; a run id begins with the time in UTC


@click.group("runs", invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.option("--kernel", help="Only runs of this kernel.")
@click.option("--verdict", type=click.Choice([verdict.value for verdict in Verdict]), help="Only runs that ended so.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.pass_context
def command(context: click.Context, limit: int, kernel: str | None, verdict: str | None, as_json: bool) -> None:
    """List runs, newest first.

    On a terminal a table; into a pipe one run a line, fields separated by tabs, times in UTC.
    """
    if context.invoked_subcommand is not None:
        refuse_options_before(context)
        return
    with Store.open(paths.store_url()) as store:
        runs = store.list(limit, recorded_name(kernel) if kernel else None, Verdict(verdict) if verdict else None)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(run) for run in runs], indent=2))
    elif not sys.stdout.isatty():
        for run in runs:
            click.echo("\t".join(_fields(run)))
    elif not runs:
        click.echo("no runs yet; `farm run` makes one" if kernel is None and verdict is None else "no such runs")
    else:
        console = output_console()
        console.print(run_table(runs, console.width >= _WIDE))


@command.command()
@click.argument("run_id", metavar="RUN")
@json_option
def settle(run_id: str, as_json: bool) -> None:
    """End RUN, whose process is gone, as errored: interrupted.

    RUN is an id or the beginning of one. A run whose process ended on this machine is settled by itself; one of another
    machine after ten minutes without a sign of life. This is for a person who knows it sooner. `farm resume` goes on
    with it on any machine.
    """
    with Store.open(paths.store_url()) as store:
        full = run_settlement.settle(store, run_id, f"{getpass.getuser()}@{socket.gethostname()}")
    if as_json:
        click.echo(json.dumps({"run_id": full, "verdict": Verdict.ERRORED.value, "reason": "interrupted"}, indent=2))
        return
    click.echo(f"run {full} is errored: interrupted; go on with `farm resume {full}`")


@command.command("import")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
@announced("importing runs: {directories}")
def import_runs(directories: tuple[Path, ...], as_json: bool) -> None:
    """Bring runs into the store from their own directories DIR, where the store was away when they ended.

    Importing a run again changes nothing. A verdict that a run has given itself is never changed.
    """
    rows = []
    with Store.open(paths.store_url()) as store:
        for directory in directories:
            run_id, added = bring_in(store, directory)
            rows.append({"run_id": run_id, "directory": str(directory), "imported": added})
            if not as_json:
                click.echo(f"run {run_id} is {'imported' if added else 'in the store already'}")
    if as_json:
        click.echo(json.dumps(rows, indent=2))


def _fields(run: RunSummary) -> list[str]:
    """One run as plain text without tabs or line breaks; empty fields are `-`."""
    medians = ",".join("-" if us is None else f"{us:.2f}" for us in run.median_us.values())
    verdict = run.verdict.value if run.verdict else "running"
    fields = [run.started_at, run.run_id, verdict, run.kernel, ",".join(run.cases), run.platform, medians]
    return [one_line(field) or "-" for field in (*fields, str(len(run.devices)))]


def run_table(runs: list[RunSummary], wide: bool) -> Table:
    """Return the table of `runs`; one that is not `wide` leaves columns out."""
    table = NamedRows(gap=2 if wide else 1)
    for heading in (["when"] if wide else []) + ["run", "verdict"]:
        table.add_column(heading, no_wrap=True)
    for heading in ("kernel", "cases", "platform"):
        table.add_column(heading, overflow="fold")
    for heading in ("median µs", "devices" if wide else "dev"):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            *([_when(run.started_at)] if wide else []),
            Text(one_line(run.run_id)),
            verdict_text(run.verdict),
            Text(one_line(run.kernel)),
            Text("\n".join(one_line(case) for case in run.cases)),
            Text(one_line(run.platform)),
            Text("\n".join(_median(run, case) for case in run.cases)),
            str(len(run.devices)),
        )
    return table


def _median(run: RunSummary, case: str) -> str:
    """A simulated time says so: the two kinds stand in one column and must not be read as one."""
    us = run.median_us.get(case)
    return microseconds(us) + (" sim" if us is not None and run.clock is Clock.SIMULATED else "")


def _when(moment: str) -> str:
    """In the reader's own time zone."""
    try:
        parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError:
        return one_line(moment)
    return parsed.astimezone().strftime("%Y-%m-%d %H:%M")
