"""`farm tune`: search for a faster tuning."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from farm import paths
from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.cli.tuning_shared import campaign_options, measure, template
from farm.model.timeouts import Timeouts

if TYPE_CHECKING:
    from farm.tuning.search import Measured, TuningSearch
    from kernel.spec import TunableKernel


@click.command()
@options.kernel_argument
@campaign_options
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Points to measure in all.")
@click.option("--timeout", "limit_s", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@options.json_option
@announced("searching the tuning space of {kernel}")
def command(
    kernel: str,
    case: str | None,
    platform: str,
    devices: int,
    out: Path,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    trials: int,
    limit_s: float | None,
    as_json: bool,
) -> None:
    """Search the tuning space of KERNEL for a faster point, on all devices at once.

    Points that break a guard are never built; points with wrong numbers never win. The search is kept in a file: run
    the same command again to go on, with a higher --trials to go further.
    """
    from farm.tuning.search import fruitless, patch, repository_of
    from jobs.kernel_process.tunable import tunable

    with tunable(kernel) as found:
        chosen = case or found.default_case
        request = template(kernel, found, chosen, platform, devices)
        search = _search(found, chosen, platform, trials, quiet=as_json)
        runner, _ = measure(search, request, found, out, address, wait_s, timeouts, limit_s)
        best = search.best()
        if best is None:
            click.echo(f"farm: {fruitless(search.measured())}", err=True)
            sys.exit(ExitCode.ERRORED)
        if as_json:
            told = {"kernel": kernel, "case": chosen, "measured": len(search.measured()), "wall_us": best.wall_us}
            click.echo(json.dumps({**told, "tuning": found.tuning(chosen, best.overrides).as_dict()}, indent=2))
            return
        click.echo(f"best of {len(search.measured())} points: {best.wall_us:.2f} µs")
        found_patch = patch(found, chosen, best, platform, runner.clock)
        root = repository_of(found.tunings())
        known = {key: values[0] for key, values in found.tuning_space(chosen).items()}
    if not found_patch:
        click.echo("it is the best known tuning already")
        return
    knobs = [f"--tuning {key}={value}" for key, value in best.overrides.items() if value != known[key]]
    click.echo(f"try it: farm run {kernel} --case {chosen} {' '.join(knobs)}")
    click.echo(f"keep it: in {root}, give these lines to `git apply` or `patch -p1`\n")
    click.echo(found_patch, nl=False)


def _search(kernel: TunableKernel, case: str, platform: str, trials: int, *, quiet: bool) -> TuningSearch:
    """The search of `case`, where it stopped last time; each measured point is printed."""
    from farm.tuning.search import TuningSearch, open_study
    from jobs.cache import source_digest

    console = Console(stderr=True, quiet=quiet)

    def say(point: Measured, done: int, total: int) -> None:
        told = point.disqualified or f"{point.wall_us:.2f} µs"
        knobs = " ".join(f"{key}={value}" for key, value in point.overrides.items())
        console.print(f"[{done}/{total}] {told}  {knobs}", markup=False, highlight=False, soft_wrap=True)

    sources = source_digest(kernel.sources())[:16]
    study = open_study(paths.home() / "tune.journal", kernel, case, platform, sources)
    return TuningSearch(kernel, case, study, trials, say)
