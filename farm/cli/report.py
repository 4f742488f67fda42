"""`farm report`: one run's reports, rebuilt from its record."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from farm.atomic_file import write_whole
from farm.cli.browser import browse
from farm.cli.first_line import announced
from farm.errors import UsageError
from farm.model.run import RunRecord
from farm.report import json_report
from farm.report.console import output_console
from farm.report.formats import FORMATS
from farm.report.html.report import HtmlReport
from farm.report.run.terminal import summary
from farm.report.write import write_reports
from farm.store.run_lookup import load
from farm.text import slug


@click.command("report")
@click.argument("run", required=False)
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), help="Print this format, not the summary.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write --format to this file instead.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write every format into OUT/RUN/.")
@click.option("--against", metavar="RUN", help="With --format html: show each stage's difference to this run.")
@click.option("--open", "opened", is_flag=True, help="Write the HTML page and open it in a browser.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of report.json; needs no RUN.")
@announced("reading run {run}")
def command(
    run: str | None,
    format_name: str | None,
    as_json: bool,
    output: Path | None,
    out: Path | None,
    against: str | None,
    opened: bool,
    schema: bool,
) -> None:
    """Show the report of one run, or write it again.

    RUN is an id, an unambiguous beginning of one, `latest`, a run's directory or a report.json.

    \b
    Examples:
      farm report latest
      farm report latest --open
      farm report latest --format md --output comment.md
    """
    if schema:
        click.echo(json_report.schema(), nl=False)
        return
    if run is None:
        raise UsageError("which run? Give an id, 'latest', a run's directory or a report.json; `farm runs` lists them")
    format_name = _format(format_name, as_json, output, against, opened)
    record = load(run)
    if out is not None:
        for path in write_reports(record, out / _directory_name(record)):
            click.echo(path)
    if format_name is not None:
        content = _compared(record, against) if against else FORMATS[format_name].write(record)
        if opened and output is None:
            output = _place(run, record)
        if output is not None:
            write_whole(output, content)
        else:
            click.echo(content, nl=False)
        if opened and output is not None:
            click.echo(output)
            if not browse(output.resolve().as_uri()):
                click.echo("farm: no browser was found; open that file yourself", err=True)
    elif out is None:
        output_console().print(summary(record))


def _compared(record: RunRecord, against: str) -> str:
    from farm.report.html.page import page  # as HtmlReport

    baseline = load(against)
    if baseline.clock is not record.clock:
        raise UsageError(
            f"run {record.run_id} has {record.clock.value} times and run {baseline.run_id} {baseline.clock.value} "
            "ones: different yardsticks, which are not compared"
        )
    return page(record, baseline, f"run {baseline.run_id}")


def _place(run: str, record: RunRecord) -> Path:
    """Where the page goes: into the run's directory, where its links lead somewhere, else into a temporary one.

    A record from elsewhere names a directory of another machine, so only a directory that was typed or that the store
    knows is written to.
    """
    typed = Path(run)
    beside = typed if typed.is_dir() else typed.parent if typed.is_file() else Path(record.directory)
    known = bool(record.directory) or typed.exists()
    directory = beside if known and beside.is_dir() else Path(tempfile.mkdtemp(prefix="farm-report-"))
    return directory / HtmlReport.filename


def _format(
    format_name: str | None, as_json: bool, output: Path | None, against: str | None, opened: bool
) -> str | None:
    if as_json and format_name not in (None, "json"):
        raise UsageError(f"--json and --format {format_name} exclude each other")
    chosen = "json" if as_json else format_name
    if opened and chosen not in (None, "html"):
        raise UsageError(f"--open shows the HTML page and cannot go with --format {chosen}")
    chosen = "html" if opened else chosen
    if against is not None and chosen != "html":
        raise UsageError("--against needs --format html; `farm compare` compares two runs in the other formats")
    if output is not None and chosen is None:
        raise UsageError(f"--output {output} needs --format, one of {', '.join(FORMATS)}")
    return chosen


def _directory_name(record: RunRecord) -> str:
    """The run's id, which may come from a foreign report.json, as a name that cannot lead out of a directory."""
    if slug(record.run_id) != record.run_id:
        raise UsageError(f"run id {record.run_id!r} cannot name a directory")
    return record.run_id
