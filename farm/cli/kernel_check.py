"""`farm kernel check`: everything about a kernel that needs no device, one line a check."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced


@click.command("check")
@options.kernel_argument
@click.option("--case", "-c", "case", help="Case to check. Default: the kernel's own.")
@options.platform_option
@options.tuning_option
@click.option("--no-compile", is_flag=True, help="Leave out the compile, which takes most of the time.")
@options.json_option
@announced("checking {kernel}")
def command(
    kernel: str, case: str | None, platform: str, tuning: tuple[str, ...], no_compile: bool, as_json: bool
) -> None:
    """Check KERNEL without a device: one line for each check, and one compile at the end.

    Checked are the contract, the tolerances, the budget file, the guards of every case's tuning, the program's
    signature, the inputs and the golden, both computed twice, and whether the program compiles. A mistake is named with
    its file and line where Python or the compiler know them. Exit code 1 where the kernel breaks a check, 2 where what
    was asked for is wrong.

    \b
    Examples:
      farm kernel check mine.py
      farm kernel check --case flash-s2 --tuning split_k=2 --no-compile --json
    """
    from farm import paths
    from farm.model.timeouts import Timeouts
    from farm.validation.kernel_check import KernelCheck, KernelCheckStatus
    from kernel.registry import find_platform

    overrides = options.parse_tuning(tuning)
    found = find_platform(platform)
    marks = {KernelCheckStatus.PASSED: "✓", KernelCheckStatus.FAILED: "✗", KernelCheckStatus.SKIPPED: "–"}
    results = []
    limit_s = Timeouts().trial_s
    with KernelCheck(kernel, case, overrides, found, paths.cache(), limit_s, compiles=not no_compile) as check:
        for result in check.results():
            results.append(result)
            if not as_json:
                click.echo(f"{marks[result.status]} {result.name:<10} {result.message}")
    failed = any(result.status is KernelCheckStatus.FAILED for result in results)
    if as_json:
        facts = {"kernel": kernel, "case": check.case, "platform": platform, "tuning": check.tuning}
        checks = [dataclasses.asdict(result) for result in results]
        click.echo(json.dumps({**facts, "passed": not failed, "checks": checks}, indent=2))
    sys.exit(ExitCode.FAILED if failed else ExitCode.PASSED)
