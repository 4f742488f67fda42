"""`farm sweep`: compare the bits of every healthy device."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from farm.cli import options
from farm.cli.exit_codes import of_verdict
from farm.cli.first_line import announced
from farm.cli.harness_run import repository
from farm.cli.sweep_progress import sweep_view
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.errors import UsageError
from farm.model.timeouts import Timeouts
from farm.report.console import output_console
from jobs.kernel_process.described import kernel_of
from kernel.harness import profiles

if TYPE_CHECKING:
    from farm.model.sweep import SweepRecord
    from farm.sweep.observer import SweepObserver

# What a resumed sweep has been asked already; giving it again could only contradict it.
_ASKED = {
    "kernel": "KERNEL",
    "suite": "--suite",
    "files": "--file",
    "root": "--root",
    "cases": "--case",
    "seeds": "--seeds",
    "repeats": "--repeats",
    "devices": "--devices",
    "input_set": "--inputs-set",
    "platform": "--platform",
}


@click.command()
@options.kernel_argument
@click.option("--suite", metavar="NAME|FILE.toml", help="In place of KERNEL: sweep files of this suite.")
@click.option("--file", "files", multiple=True, metavar="GLOB", help="With --suite: its files. Default: the profile's.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --suite: its repository. Default: that of the current directory.",
)
@click.option("--case", "-c", "cases", multiple=True, help="Shape point; repeat for more. Default: the kernel's own.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Inputs of seeds 0, 1, …")
@click.option("--repeats", "-r", type=int, default=2, show_default=True, help="Repeats of each case and seed.")
@click.option("--devices", "-n", default="all", show_default=True, metavar="all|N", help="How many healthy devices.")
@click.option("--inputs-set", "input_set", help="Input distribution. Default: the documented one.")
@options.platform_option
@click.option(
    "--budget-minutes",
    type=float,
    default=240.0,
    show_default=True,
    help="No trial is under way any more after so many minutes.",
)
@click.option(
    "--trial-timeout", "trial_s", type=float, default=Timeouts().trial_s, show_default=True, metavar="SECONDS"
)
@click.option("--address", help="Ray cluster to use, for example head:6379. Default: a local one.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("farm-sweeps"), show_default=True)
@click.option("--resume", metavar="SWEEP", help="Go on with this sweep below --out: an id, or latest.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of sweep.json and do nothing else.")
@options.json_option
@click.pass_context
@announced("sweeping {kernel}", schema="", resume="going on with sweep {resume}", suite="sweeping {suite}")
def command(
    context: click.Context,
    kernel: str,
    suite: str | None,
    files: tuple[str, ...],
    root: Path | None,
    cases: tuple[str, ...],
    seeds: int,
    repeats: int,
    devices: str,
    input_set: str | None,
    platform: str,
    budget_minutes: float,
    trial_s: float,
    address: str | None,
    out: Path,
    resume: str | None,
    schema: bool,
    as_json: bool,
) -> None:
    """Run KERNEL on every healthy device with the same inputs and compare the bits of all of them.

    Says of each disagreement whose it is: the kernel races or depends on the device, a device is suspect (looked at
    twice, then quarantined), or devices did not run the same program. Also names devices that are slow. Writes
    sweep.json, sweep.md, matrix.svg, junit.xml and logs/ into DIR/SWEEP/.

    \b
    Exit codes: 0 all agree, 1 the kernel's fault, 3 a device's or the farm's, or something was not reached.

    \b
    Examples:
      farm sweep --address head:6379 --platform a2a3 --case flash-s2 --case flash-s1
      farm sweep --suite ./mine.toml --file 'kernels/*.py' --platform a2a3
      farm sweep --resume latest
    """
    from farm.model.sweep import SweepRequest
    from farm.report.sweep import json_dump
    from farm.sweep import suite_subject, workflow
    from farm.sweep.journal import find

    if schema:
        click.echo(json_dump.schema(), nl=False)
        return
    how = workflow.SweepOptions(
        out=out, address=address, budget_minutes=budget_minutes, timeouts=Timeouts(trial_s=trial_s)
    )
    if resume is not None:
        options.refuse_beside_resume(context, _ASKED, "sweep")
        directory = find(out, resume)
        _carry_out(lambda observer: workflow.resume(directory, how, observer), as_json)
    if suite is not None:
        for name, flag in (("kernel", "KERNEL"), ("cases", "--case"), ("input_set", "--inputs-set")):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(f"{flag} is for a kernel, and --suite {suite} has files; give one of the two")
        platform = options.suite_platform(context, platform, list(profiles.find(suite).platforms))
        request = suite_subject.request(
            suite,
            repository(root),
            files,
            platform,
            seeds=list(range(seeds)),
            repeats=repeats,
            devices=_count(devices),
            timeouts=how.timeouts,
        )
        _carry_out(lambda observer: workflow.sweep(request, how, observer), as_json)
    if files or root is not None:
        raise UsageError("--file and --root are of a suite's repository; name the suite with --suite")
    found = kernel_of(kernel)
    request = SweepRequest(
        kernel=kernel,
        cases=list(cases) or [found.default_case],
        platform=platform,
        seeds=list(range(seeds)),
        repeats=repeats,
        input_set=input_set or next(iter(found.input_sets)),
        devices=_count(devices),
    )
    _carry_out(lambda observer: workflow.sweep(request, how, observer), as_json)


def _carry_out(act: Callable[[SweepObserver], SweepRecord], as_json: bool) -> NoReturn:
    """Sweep before the user's eyes and end the process with the verdict's exit code."""
    from farm.report.sweep.terminal import summary

    interrupt_on_sigterm()
    console = output_console()
    chatter = io.StringIO()  # Ray prints what befalls its workers to sys.stdout, from a thread of its own
    with sweep_view(console, quiet=as_json) as observer, contextlib.redirect_stdout(chatter):
        record = act(observer)
    if as_json:
        click.echo(record.model_dump_json(indent=1))
    else:
        console.print(summary(record))
    sys.exit(of_verdict(record.verdict))


def _count(devices: str) -> int | None:
    """`all` as None. Raises `UsageError` for what is neither that nor a number."""
    if devices == "all":
        return None
    if not devices.isdecimal() or int(devices) < 1:
        raise UsageError(f"--devices {devices} is neither 'all' nor a number above 0")
    return int(devices)
