"""`farm ledger`: the measured history of a kernel."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from farm.cli import options
from farm.cli.first_line import announced
from farm.cli.tuning_shared import campaign_options, measure, template
from farm.model.timeouts import Timeouts


@click.command()
@options.kernel_argument
@campaign_options
@click.option("--svg", type=click.Path(path_type=Path), help="Also write the plot to this file.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write the page to this file.")
@options.json_option
@announced("measuring the ledger of {kernel}")
def command(
    kernel: str,
    case: str | None,
    platform: str,
    devices: int,
    out: Path,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    svg: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Measure the history of KERNEL: untuned, then one step at a time, and the best without each step.

    All devices work side by side. Writes ledger.json, ledger.md and ledger.svg into DIR/RUN/.
    """
    from farm.atomic_file import write_whole
    from farm.model.ledger import LedgerEntry
    from farm.report import ledger as pages
    from farm.source.provenance import commit_of
    from farm.tuning.ledger import Ledger
    from jobs.kernel_process.tunable import tunable

    console = Console(stderr=True, quiet=as_json)

    def say(entry: LedgerEntry, done: int, total: int) -> None:
        told = f"{entry.wall_us:.2f} µs" if entry.wall_us is not None else entry.disqualified
        console.print(f"[{done}/{total}] {entry.label}: {told}", markup=False, highlight=False, soft_wrap=True)

    with tunable(kernel) as found:
        chosen = case or found.default_case
        history = Ledger(found, chosen, say)
        request = template(kernel, found, chosen, platform, devices)
        runner, directory = measure(history, request, found, out, address, wait_s, timeouts)
        record = history.record(platform, runner.clock, commit_of(found.sources()[0]), runner.toolchain())
    page, picture = pages.markdown(record, "ledger.svg"), pages.plot(record)
    files = {"ledger.json": record.model_dump_json(indent=2) + "\n", "ledger.md": page, "ledger.svg": picture}
    for name, content in files.items():
        write_whole(directory / name, content)
    if svg is not None:
        write_whole(svg, picture)
    if markdown is not None:
        write_whole(markdown, pages.markdown(record, svg.name if svg else None))
    if as_json:
        click.echo(record.model_dump_json(indent=2))
    else:
        click.echo(page)
        console.print(f"files: {directory}", highlight=False)
