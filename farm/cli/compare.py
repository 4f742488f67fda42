"""`farm compare`: what changed from one run to another."""

from __future__ import annotations

from pathlib import Path

import click

from farm import paths
from farm.analysis.comparison import RunComparison, compare
from farm.atomic_file import write_whole
from farm.cli.first_line import announced
from farm.errors import UnknownRunError, UsageError
from farm.model.run import RunRecord
from farm.report import comparison
from farm.report.console import output_console
from farm.store import run_lookup
from farm.store.engine import open_engine


@click.command("compare")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@click.option("--format", "format_name", type=click.Choice(list(comparison.FORMATS)), help="Print this format.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write --format to this file instead.")
@announced("reading runs {left} and {right}")
def command(left: str, right: str, format_name: str | None, as_json: bool, output: Path | None) -> None:
    """Show what changed from A to B: medians with their intervals, every stage, bits, tuning and toolchain.

    A and B are run ids or beginnings of one, `latest`, a run's directory, a report.json, or a commit (at least seven
    characters of it), which stands for its newest run that passed. Simulated and measured times are not compared.

    \b
    Examples:
      farm compare 20261123-14 latest
      farm compare 0123456 latest --format md
    """
    if as_json and format_name not in (None, "json"):
        raise UsageError(f"--json and --format {format_name} exclude each other")
    chosen = "json" if as_json else format_name
    if output is not None and chosen is None:
        raise UsageError(f"--output {output} needs --format, one of {', '.join(comparison.FORMATS)}")
    found = compare(find(left), find(right))
    if chosen is None:
        output_console().print(comparison.terminal(found))
    elif output is not None:
        write_whole(output, _content(chosen, found))
    else:
        click.echo(_content(chosen, found), nl=False)


def find(named: str) -> RunRecord:
    """The run `named`, or the newest that passed of the commit of that name. Raises as `recall.load` and `find` do."""
    try:
        return run_lookup.load(named)
    except UnknownRunError:
        engine = open_engine(paths.store_url(), lambda line: click.echo(f"farm: {line}", err=True))
    try:
        return run_lookup.find(engine, named)
    finally:
        engine.dispose()


def _content(format_name: str, found: RunComparison) -> str:
    return comparison.FORMATS[format_name](found)
