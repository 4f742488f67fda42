"""`farm bisect`: the commit at which a kernel changed for the worse."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from farm.bisect.observer import BisectObserver
from farm.bisect.search import BisectSearch, rounds_needed
from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.errors import UsageError
from farm.model.bisect import BisectRequest, CommitOutcome, CommitTestRecord, MetricName
from farm.model.run import DeviceRecord
from farm.model.timeouts import Timeouts
from farm.report.console import output_console
from farm.text import counted, one_line

if TYPE_CHECKING:
    from farm.bisect.commit_range import CommitRange
    from farm.model.bisect import BisectRecord


class _Lines(BisectObserver):
    """One line an event on stderr, so that stdout stays the answer's."""

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self._subjects: dict[str, str] = {}

    def began(self, bisect_id: str, devices: list[DeviceRecord], line: CommitRange) -> None:
        """Announce the range."""
        self._subjects = {each.commit: each.subject for each in line.candidates}
        changing = len(line.candidates) - 1
        rounds = rounds_needed(changing - 1, self._devices)
        held = ", ".join(device.id for device in devices)
        self._say(
            f"bisect {bisect_id}: {counted(line.commits, 'commit')}, {changing} change the program; devices {held}"
        )
        self._say(f"the ends first, then {counted(rounds, 'round')} where no commit is skipped")

    def round_began(self, number: int, positions: Sequence[int], search: BisectSearch) -> None:
        """Announce a round."""
        if number:
            self._say(f"round {number}: {counted(len(search.open), 'commit')} open, testing {len(positions)} at once")

    def answered(self, probe: CommitTestRecord) -> None:
        """Announce an answer."""
        subject = one_line(self._subjects[probe.commit], 60)
        told = f"{probe.commit[:12]} {probe.answer.value}: {one_line(probe.reason)}"
        where = f"{probe.device}, {probe.probe_s:.1f} s" if probe.device else "not run"
        self._say(f"  {told} ({where}) {subject}")

    def reporting(self) -> None:
        """Announce the run that makes the report."""
        self._say("found; running it against the last good one on all devices")

    def _say(self, text: str) -> None:
        click.echo(text, err=True)


_ASKED = {
    "good": "GOOD",
    "bad": "BAD",
    "file": "FILE",
    "kernel": "--kernel",
    "suite": "--suite",
    "workflow": "--workflow",
    "metric": "--metric",
    "case": "--case",
    "source": "--source",
    "devices": "--devices",
    "platform": "--platform",
    "seed": "--seed",
    "input_set": "--inputs-set",
    "tuning": "--tuning",
    "require_sandbox": "--require-sandbox",
}


@click.command("bisect")
@click.argument("good", required=False)
@click.argument("bad", required=False)
@click.argument("file", required=False)
@click.option("--kernel", default=options.DEFAULT_KERNEL, show_default=True, help="The kernel under test.")
@click.option("--suite", metavar="NAME|FILE.toml", help="In place of a kernel: search for FILE of this suite.")
@click.option("--workflow", metavar="NAME", help="In place of FILE: all targets of that task or workflow of the suite.")
@click.option("--metric", type=click.Choice([name.value for name in MetricName]), default="wall", show_default=True)
@click.option("--case", "-c", "case", help="Shape point. Default: the kernel's own.")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="GITDIR",
    help="Local git repository with the commits.  [default: the current directory]",
)
@click.option("--devices", "-n", type=int, default=3, show_default=True, help="Commits tested at once, one a device.")
@options.platform_option
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the inputs.")
@click.option("--inputs-set", "input_set", help="Input distribution. Default: the documented one.")
@options.tuning_option
@click.option("--report/--no-report", default=True, help="Run the commit found against the last good one as well.")
@click.option("--require-sandbox", is_flag=True, help="Refuse to run programs where they cannot be isolated.")
@click.option(
    "--resume", metavar="BISECT", help="Continue an interrupted bisect: its id, the beginning of it, or latest."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("farm-runs"), show_default=True)
@options.limit_options
@options.cluster_options
@click.option("--schema", is_flag=True, help="Print the JSON Schema of bisect.json and do nothing else.")
@options.json_option
@click.pass_context
@announced("searching the commits {good}..{bad}", schema="", resume="going on with bisect {resume}")
def command(
    context: click.Context,
    good: str | None,
    bad: str | None,
    file: str | None,
    kernel: str,
    suite: str | None,
    workflow: str | None,
    metric: str,
    case: str | None,
    source: Path,
    devices: int,
    platform: str,
    seed: int,
    input_set: str | None,
    tuning: tuple[str, ...],
    report: bool,
    require_sandbox: bool,
    resume: str | None,
    out: Path,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    schema: bool,
    as_json: bool,
) -> None:
    """Find the commit after GOOD, up to BAD, at which KERNEL changed for the worse.

    Every device tests another commit at once, so N devices part what is left into N + 1 pieces a round. The metric is
    the wall time (above GOOD's, with the regression gate's statistics where there is noise), tolerance (outputs are
    wrong), determinism (bits differ between repeats, or from a second device's) or verdict (outputs are wrong, or it
    does not run to its end by its own fault). For all but verdict, commits that do not build are passed over. A merge
    is one step of the line; programs run confined, as with `farm run --source`. Writes bisect.json, bisect.md and logs/
    into DIR/BISECT/. Ctrl-C or a kill loses no answer; --resume continues.

    With --suite the commits of a suite's repository are searched for FILE, one of its targets. With --workflow all of
    its targets are run of each commit, one after the other on one device; the gravest answer is the commit's.

    \b
    Exit codes: 0 found, 2 nothing to search, 3 narrowed to several commits, interrupted or errored.

    \b
    Examples:
      farm bisect v1.2 main --case flash-s2
      farm bisect --resume latest
      farm bisect v1.2 main --suite pypto-lib models/deepseek/v4/qkv_proj_rope.py --metric verdict
      farm bisect v1.2 main --suite ./mine.toml --workflow gate --metric verdict
      farm bisect 3f2a9c1 HEAD --metric tolerance --devices 7 --source ~/kernels
    """
    if schema:
        from farm.report.bisect import json_dump

        click.echo(json_dump.schema(), nl=False)
        return
    if resume is not None:
        options.refuse_beside_resume(context, _ASKED, "bisect")
        from farm.bisect.resume import load

        before = load(out, resume)
        _carry_out(before.request, out, address, wait_s, timeouts, report, as_json, before)
    if good is None or bad is None:
        raise click.UsageError("name two commits: farm bisect GOOD BAD")
    subject = _kernel(kernel, case, input_set) if suite is None else _suite(context, suite, file, workflow)
    if suite is None and (file is not None or workflow is not None):
        given = f"FILE {file}" if file is not None else f"--workflow {workflow}"
        raise UsageError(f"{given} is a suite's; name that with --suite")
    if suite is not None:
        from kernel.harness import profiles

        platform = options.suite_platform(context, platform, list(profiles.find(suite).platforms))
    request = BisectRequest(
        repository=str(source),
        good=good,
        bad=bad,
        platform=platform,
        devices=devices,
        metric=MetricName(metric),
        seed=seed,
        tuning=options.parse_tuning(tuning),
        require_sandbox=require_sandbox,
        **subject,
    )
    _carry_out(request, out, address, wait_s, timeouts, report, as_json)


def _kernel(kernel: str, case: str | None, input_set: str | None) -> dict[str, str]:
    """What a request has of an installed kernel."""
    from farm.source import programs
    from jobs.kernel_process.described import kernel_of

    programs.require_installed(kernel)
    found = kernel_of(kernel)
    inputs = input_set or next(iter(found.input_sets))
    return {"kernel": kernel, "case": case or found.default_case, "input_set": inputs}


def _suite(context: click.Context, suite: str, file: str | None, workflow: str | None) -> dict[str, str]:
    """What a request has of a suite's file or workflow."""
    from kernel.harness import profiles
    from kernel.harness.kernel import INPUT_SET

    for name, flag in (
        ("kernel", "--kernel"),
        ("case", "--case"),
        ("input_set", "--inputs-set"),
        ("tuning", "--tuning"),
    ):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"{flag} is for a kernel, and --suite {suite} has files; give one of the two")
    if file is None and workflow is None:
        raise UsageError(
            f"--suite {suite} searches FILE or --workflow NAME; give one: farm bisect GOOD BAD --suite {suite} FILE"
        )
    if file is not None and workflow is not None:
        raise UsageError(
            f"FILE {file} is one target, and --workflow {workflow} has targets of its own; give one of the two"
        )
    profile = profiles.find(suite)
    named = str(Path(suite).resolve()) if profiles.is_path(suite) else suite
    searched = {"case": file} if file is not None else {"case": workflow or "", "workflow": workflow or ""}
    return {"kernel": profile.name, "input_set": INPUT_SET, "suite": named, **searched}


def _carry_out(
    request: BisectRequest,
    out: Path,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    report: bool,
    as_json: bool,
    resumed: BisectRecord | None = None,
) -> NoReturn:
    from farm.bisect.workflow import bisect
    from farm.execution.session import SessionOptions
    from farm.report.bisect.terminal import summary
    from farm.source import programs

    interrupt_on_sigterm()
    if programs.has_changes(Path(request.repository)):
        click.echo(f"farm: {request.repository} has changes that are not committed; they are not tested", err=True)
    how = SessionOptions(out=out, address=address, wait_s=wait_s, timeouts=timeouts)
    observer = BisectObserver() if as_json else _Lines(request.devices)
    with contextlib.redirect_stdout(io.StringIO()):  # Ray prints what befalls its workers there, from its own thread
        record = bisect(request, how, observer, report=report, resumed=resumed)
    if as_json:
        click.echo(record.model_dump_json(indent=1))
    else:
        output_console().print(summary(record))
    sys.exit(ExitCode.PASSED if record.outcome is CommitOutcome.FOUND else ExitCode.ERRORED)
