"""`farm trace`: a run's timelines as one Perfetto trace."""

from __future__ import annotations

import json
from pathlib import Path

import click

from farm.analysis.figures import measured, median_trial
from farm.atomic_file import write_whole
from farm.cli.first_line import announced
from farm.cli.options import json_option
from farm.errors import UsageError
from farm.model.run import RunRecord
from farm.store.run_lookup import load
from farm.text import one_line, slug
from jobs.records import TrialRecord

_PATIENCE_S = 120.0  # for a browser to start, load Perfetto's page and fetch the file


@click.command("trace")
@click.argument("run")
@click.option("--case", "-c", "cases", multiple=True, help="Only this case; repeat for more. Default: every case.")
@click.option("--device", metavar="NODE/INDEX", help="The trials of this device. Default: the median trial.")
@click.option("--repeat", type=click.IntRange(min=0), help="The trials of this repeat. Default: the median trial.")
@click.option("--against", metavar="RUN", help="A second run in the same trace, both from their own beginning.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write. Default: RUN.pftrace.")
@json_option
@click.option("--open", "opened", is_flag=True, help="Hand it to Perfetto's page (ui.perfetto.dev) in a browser.")
@announced("reading run {run}")
def command(
    run: str,
    cases: tuple[str, ...],
    device: str | None,
    repeat: int | None,
    against: str | None,
    out: Path | None,
    as_json: bool,
    opened: bool,
) -> None:
    """Write a native Perfetto trace of RUN: stages, cores, what waits for what, and how many cores are busy.

    RUN and --against take an id, a beginning of one, `latest`, a run's directory or a report.json. With --open the
    page comes from the web and fetches the file from 127.0.0.1:9001, where it is served once, to that page alone; the
    trace stays on this machine. Without a network, drop the file on a Perfetto of your own.

    \b
    Examples:
      farm trace latest
      farm trace latest --case flash-s2 --device vm/1 --repeat 0
      farm trace latest --against 20261123-14 --open
    """
    from farm.report.traces.perfetto import Traced, perfetto_trace  # its schema is half a second to import

    record = load(run)
    chosen = _chosen(record, cases, device, repeat)
    traced = [Traced(_name(record, trial), trial) for trial in chosen]
    if against is not None:
        base = load(against)
        _require_one_clock(record, base)
        traced += [Traced(_name(base, trial), trial) for trial in _chosen(base, cases, device, repeat)]
    path = out or Path(f"{slug(record.run_id)}.pftrace")
    write_whole(path, perfetto_trace(traced))
    if as_json:
        named = [{"case": trial.case, "device": trial.device, "repeat": trial.repeat} for trial in chosen]
        click.echo(json.dumps({"run_id": record.run_id, "path": str(path), "trials": named}, indent=2))
    else:
        click.echo(path)
    if opened:
        from farm.cli.perfetto_ui import hand_over

        hand_over(path, _PATIENCE_S)


def _chosen(record: RunRecord, cases: tuple[str, ...], device: str | None, repeat: int | None) -> list[TrialRecord]:
    """The trials asked for, of each case. Raises `UsageError` naming what there is where none fits."""
    for case in cases:
        if case not in record.cases:
            raise UsageError(f"run {record.run_id} has no case '{one_line(case)}'; it has {', '.join(record.cases)}")
    found: list[TrialRecord] = []
    for case in cases or record.cases:
        if device is None and repeat is None:
            median = median_trial(record, case)
            found += [median] if median else []
            continue
        found += [
            trial
            for trial in measured(record, case)
            if trial.tasks and device in (None, trial.device) and repeat in (None, trial.repeat)
        ]
    if not found:
        profiled = [trial for trial in record.trials if trial.tasks]
        there = ", ".join(dict.fromkeys(f"{one_line(trial.device)} repeat {trial.repeat}" for trial in profiled[:12]))
        raise UsageError(f"run {record.run_id} has no such trial with a profile; it has {there or 'none at all'}")
    return found


def _name(record: RunRecord, trial: TrialRecord) -> str:
    where = f"{trial.case} on {trial.device}, repeat {trial.repeat}"
    return f"{where}, run {record.run_id} ({trial.clock.value} time)"


def _require_one_clock(record: RunRecord, base: RunRecord) -> None:
    if record.clock is not base.clock:
        raise UsageError(
            f"run {record.run_id} has {record.clock.value} times and run {base.run_id} {base.clock.value} ones: "
            "different yardsticks, which do not go into one trace"
        )
