"""`farm runs`: what has been run, newest first."""

from __future__ import annotations

import dataclasses
import json
import sys
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from farm import paths
from farm.model.run import Verdict
from farm.report.run.terminal import verdict_text
from farm.store.row_mapping import RunSummary
from farm.store.run_store import Store
from farm.text import microseconds, one_line
from kernel.clock import Clock
from kernel.file_kernels import absolute

_WIDE = 96  # columns from which the local time fits too; a run id begins with the time in UTC


@click.command("runs")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.option("--kernel", help="Only runs of this kernel.")
@click.option("--verdict", type=click.Choice([verdict.value for verdict in Verdict]), help="Only runs that ended so.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def command(limit: int, kernel: str | None, verdict: str | None, as_json: bool) -> None:
    """List runs, newest first.

    On a terminal a table; into a pipe one run a line, fields parted by tabs, times in UTC.
    """
    with Store.open(paths.store_url()) as store:
        runs = store.list(limit, absolute(kernel) if kernel else None, Verdict(verdict) if verdict else None)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(run) for run in runs], indent=2))
    elif not sys.stdout.isatty():
        for run in runs:
            click.echo("\t".join(_fields(run)))
    elif not runs:
        click.echo("no runs yet" if kernel is None and verdict is None else "no such runs")
    else:
        console = Console()
        console.print(_table(runs, console.width >= _WIDE))


def _fields(run: RunSummary) -> list[str]:
    """One run as plain text without tabs or line breaks; empty fields are `-`."""
    medians = ",".join("-" if us is None else f"{us:.2f}" for us in run.median_us.values())
    verdict = run.verdict.value if run.verdict else "running"
    fields = [run.started_at, run.run_id, verdict, run.kernel, ",".join(run.cases), run.platform, medians]
    return [one_line(field) or "-" for field in (*fields, str(len(run.devices)))]


def _table(runs: list[RunSummary], wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2 if wide else 1, 0, 0))
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
