"""`farm resume`: go on with a run that was interrupted."""

from __future__ import annotations

from pathlib import Path

import click

from farm import paths
from farm.cli import options
from farm.cli.first_line import announced
from farm.cli.run import carry_out
from farm.cli.run_output import shown
from farm.model.timeouts import Timeouts
from farm.store.run_store import Store
from farm.text import one_line


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Default: where the run's own files are.")
@options.cluster_options
@options.limit_options
@options.json_option
@announced("reading run {run_id}")
def command(
    run_id: str, out: Path | None, address: str | None, wait_s: float, timeouts: Timeouts, as_json: bool
) -> None:
    """Go on with RUN, which was interrupted or lost its devices: only what is missing is measured.

    RUN is an id, the beginning of one, or latest. A verdict is never changed: RUN keeps its own, and the run that goes
    on is a new one which names it. Trials of a case whose program has changed since are measured again. Of a run of a
    commit only whole rounds of head and merge base, on the same devices, are taken over.
    """
    from farm.execution.session import SessionOptions
    from farm.validation import resume

    with Store.open(paths.store_url()) as store:
        record = store.latest() if run_id == "latest" else store.get(run_id)
    resume.require(record)
    begun = f"{record.kernel} on {record.platform}, started {record.started_at[:19]}"
    click.echo(f"farm: going on with run {record.run_id} ({one_line(begun)})", err=True)
    where = out or (Path(record.directory).parent if record.directory else Path("farm-runs"))
    how = SessionOptions(out=where, address=address, wait_s=wait_s, timeouts=timeouts)
    if record.harness is not None:
        from farm.validation import suite

        asked = suite.of_record(record)
        shown(lambda observer: suite.run(asked, how, observer, record), as_json)
    carry_out(record.request, how, as_json, resumed=record)
