"""`farm report`: one run's reports, rebuilt from its record."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from farm.errors import UsageError
from farm.recall import load
from farm.record import RunRecord
from farm.report import json_report
from farm.report.formats import FORMATS
from farm.report.terminal import summary
from farm.report.text import slug
from farm.report.write import write_reports, write_whole


@click.command("report")
@click.argument("run", required=False)
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), help="Print this format, not the summary.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write --format to this file instead.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write every format into OUT/RUN/.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of report.json; needs no RUN.")
def command(
    run: str | None, format_name: str | None, as_json: bool, output: Path | None, out: Path | None, schema: bool
) -> None:
    """Show the report of one run, or write it anew.

    RUN is an id, an unambiguous beginning of one, `latest`, a run's directory or a report.json.
    """
    if schema:
        click.echo(json_report.schema(), nl=False)
        return
    if run is None:
        raise UsageError("which run? Give an id, 'latest', a run's directory or a report.json; `farm runs` lists them")
    format_name = _format(format_name, as_json, output)
    record = load(run)
    if out is not None:
        for path in write_reports(record, out / _directory_name(record)):
            click.echo(path)
    if format_name is not None:
        content = FORMATS[format_name].write(record)
        if output is not None:
            write_whole(output, content)
        else:
            click.echo(content, nl=False)
    elif out is None:
        Console().print(summary(record))


def _format(format_name: str | None, as_json: bool, output: Path | None) -> str | None:
    if as_json and format_name not in (None, "json"):
        raise UsageError(f"--json and --format {format_name} exclude each other")
    chosen = "json" if as_json else format_name
    if output is not None and chosen is None:
        raise UsageError(f"--output {output} needs --format, one of {', '.join(FORMATS)}")
    return chosen


def _directory_name(record: RunRecord) -> str:
    """The run's id, which may come from a foreign report.json, as a name that cannot lead out of a directory."""
    if slug(record.run_id) != record.run_id:
        raise UsageError(f"run id {record.run_id!r} cannot name a directory")
    return record.run_id
