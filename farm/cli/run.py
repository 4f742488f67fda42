"""`farm run`: validate a kernel on N devices and gate it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from farm.cli import local_run, options, run_results, submit
from farm.cli.first_line import announced
from farm.cli.harness_run import OrHarness
from farm.cli.run_output import shown
from farm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from farm.execution.session import SessionOptions
    from farm.model.priority import Priority
    from farm.model.run import RunRecord, RunRequest
    from farm.model.selection import Selection
    from farm.model.timeouts import Timeouts
    from kernel.spec import Kernel


@click.command(cls=OrHarness, epilog="With --harness the files of an external harness: farm run --harness pypto-lib -h")
@submit.served
@options.kernel_argument
@click.option("--devices", "-n", type=int, default=3, show_default=True, help="Distinct devices, held at once.")
@click.option("--repeats", "-r", type=int, default=3, show_default=True, help="Repeats of each case on each device.")
@click.option("--case", "-c", "cases", multiple=True, help="Shape point; repeat for more. Default: the kernel's own.")
@options.platform_option
@click.option("--seed", type=int, help="Seed of the inputs. Default: 0; with --source, drawn once it is built.")
@click.option("--inputs-set", "input_set", help="Input distribution. Default: the documented one.")
@options.tuning_option
@options.source_options
@click.option("--local", is_flag=True, help="On one device of this machine: no Ray, no lease, no store.")
@click.option("--watch", is_flag=True, help="With --local: run again at each save, until Ctrl-C.")
@click.option(
    "--update-budget", "landing", metavar="REASON", help="Add the simulated times to the kernel's budget file."
)
@click.option("--keep-failing", is_flag=True, help="Save the operands of wrong results, for `farm kernel exec`.")
@options.out_option
@options.run_id_option
@options.cluster_options
@options.limit_options
@options.placement_options
@options.json_option
@announced("validating {kernel}", server="asking {server}")
def command(
    kernel: str,
    devices: int,
    repeats: int,
    cases: tuple[str, ...],
    platform: str,
    seed: int | None,
    input_set: str | None,
    tuning: tuple[str, ...],
    source: Path | None,
    commit: str | None,
    base: str | None,
    require_sandbox: bool,
    local: bool,
    watch: bool,
    landing: str | None,
    keep_failing: bool,
    out: Path,
    run_id: str,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    priority: Priority,
    selection: Selection,
    as_json: bool,
) -> None:
    """Validate KERNEL on several devices at once and gate it.

    Builds the kernel, leases that many distinct devices, runs every case on each of them several times, and judges
    tolerance, determinism and the wall-clock budget. Writes report.json, junit.xml, report.md, report.html, traces/
    and logs/ into DIR/RUN/.

    With --source only the program is the commit's, and runs confined; all that judges it stays this installation's.
    With --base it is held against the merge base too, both measured in turn on the same devices.

    \b
    Examples:
      farm run --devices 3
      farm run --case tiny --case flash-s1 --devices 2
      farm run --tuning split_k=2 --json
      farm run mine.py --local --watch --case tiny
      farm run mine.py --update-budget "fewer copies of x"
      farm run mine.py --keep-failing
      farm run --source . --commit my-branch --base main
      farm run --address head:6379 --wait 600 --spread nodes --soc Ascend910B1
    """
    from farm.execution.session import SessionOptions
    from farm.model.run import RunRequest
    from jobs.kernel_process.described import kernel_of

    context = click.get_current_context()
    if watch and not local:
        raise UsageError("--watch runs on this machine at each save; give --local as well")
    after = run_results.FollowUp(kernel, landing, keep_failing)
    after.require(watch=watch, of_commit=source is not None or base is not None)
    if local:
        local_run.require_local_options(context)
        devices, repeats = 1, repeats if local_run.is_given(context, "repeats") else local_run.REPEATS
    program = options.source_request(
        kernel, source, commit, base, draw_seed=seed is None, require_sandbox=require_sandbox
    )

    def asked(found: Kernel) -> RunRequest:
        return RunRequest(
            kernel=kernel,
            cases=list(cases) or [found.default_case],
            platform=platform,
            devices=devices,
            repeats=repeats,
            input_set=input_set or next(iter(found.input_sets)),
            seed=seed or 0,
            tuning=options.parse_tuning(tuning),
            priority=priority,
            selection=selection,
            source=program,
            local=local,
        )

    how = SessionOptions(out=out, address=address, wait_s=wait_s, timeouts=timeouts, run_id=run_id)
    if local:
        local_run.carry_out(kernel, platform, asked, how, watch=watch, as_json=as_json, after=after)
    found = kernel_of(kernel)
    carry_out(asked(found), how, as_json, found, after=after)


def carry_out(
    request: RunRequest,
    how: SessionOptions,
    as_json: bool,
    kernel: Kernel | None = None,
    resumed: RunRecord | None = None,
    after: Callable[[RunRecord], None] = lambda record: None,
) -> NoReturn:
    """Run `request` before the user's eyes and end the process with the verdict's exit code.

    `kernel` is the request's kernel, where it is loaded already. `after` gets the record once it is shown.
    """
    from farm.validation.workflow import resolve, run

    shown(lambda observer: run(resolve(request, how, kernel), how, observer, resumed), as_json, after)
