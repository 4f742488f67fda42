"""`farm run`: validate a kernel on N devices and gate it."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from farm.cli import options
from farm.cli.exit_codes import of_verdict
from farm.cli.live import view
from farm.record import RunRequest
from farm.report.terminal import summary
from kernel.registry import find_kernel


@click.command()
@options.kernel_argument
@click.option("--devices", "-n", type=int, default=3, show_default=True, help="Distinct devices, held at once.")
@click.option("--repeats", "-r", type=int, default=3, show_default=True, help="Repeats of each case on each device.")
@click.option("--case", "-c", "cases", multiple=True, help="Shape point; repeat for more. Default: the kernel's own.")
@options.platform_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the inputs.")
@click.option("--inputs-set", "input_set", help="Input distribution. Default: the documented one.")
@options.tuning_option
@options.out_option
@options.cluster_options
@options.json_option
def command(
    kernel: str,
    devices: int,
    repeats: int,
    cases: tuple[str, ...],
    platform: str,
    seed: int,
    input_set: str | None,
    tuning: tuple[str, ...],
    out: Path,
    address: str | None,
    wait_s: float,
    trial_timeout_s: float,
    as_json: bool,
) -> None:
    """Validate KERNEL on several devices at once and gate it.

    Builds the kernel, leases that many distinct devices, runs every case on each of them several times, and judges
    tolerance, determinism and the wall-clock budget. Writes report.json, junit.xml, report.md, traces/ and logs/ into
    DIR/RUN/.

    \b
    Examples:
      farm run --devices 3
      farm run --case tiny --case flash-s1 --devices 2
      farm run --tuning split_k=2 --json
    """
    from farm.leased import RunOptions
    from farm.run import run

    found = find_kernel(kernel)
    request = RunRequest(
        kernel=kernel,
        cases=list(cases) or [found.default_case],
        platform=platform,
        devices=devices,
        repeats=repeats,
        input_set=input_set or next(iter(found.input_sets)),
        seed=seed,
        tuning=options.parse_tuning(tuning),
    )
    how = RunOptions(out=out, address=address, wait_s=wait_s, trial_timeout_s=trial_timeout_s)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(file=sys.stdout)
    chatter = io.StringIO()  # Ray prints what befalls its workers to sys.stdout, from a thread of its own
    with view(console, quiet=as_json) as observer, contextlib.redirect_stdout(chatter):
        record = run(request, how, observer)
    if chatter.getvalue():
        (Path(record.directory) / "logs" / "ray.log").write_text(chatter.getvalue())
    if as_json:
        click.echo(record.model_dump_json(indent=2))
    else:
        console.print(summary(record))
    sys.exit(of_verdict(record.verdict))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """A polite kill ends a run the way Ctrl-C does."""
    raise KeyboardInterrupt
