"""`farm kernel`: look at kernels, check a tuning, verify the compiler, run one on your own tensors."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from farm import paths
from farm.cli import kernel_check, options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.execution import preflight
from farm.model.budgets import load_budget
from farm.model.run import RunRequest
from farm.model.timeouts import Timeouts
from farm.report.console import NamedRows, output_console
from jobs.kernel_process.described import kernel_of
from kernel.errors import KernelLayerError
from kernel.platforms.pass_verify import PassCheck
from kernel.registry import find_platform, kernel_names, platform_names
from kernel.spec import Kernel


@click.group()
def command() -> None:
    """List, show, check and execute kernels."""


@command.command("list")
@options.json_option
@announced("loading all kernels")
def list_(as_json: bool) -> None:
    """Every installed kernel.

    One that cannot be used is listed with the reason and does not keep the others from being listed.
    """
    rows = [_row(name) for name in kernel_names()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = NamedRows()
    for heading in ("kernel", "cases", "what it is"):
        table.add_column(heading)
    for row in rows:
        what = row["summary"] or f"cannot be used: {row['problem']}"
        table.add_row(row["kernel"], Text(" ".join(row["cases"])), Text(what))
    output_console().print(table)


def _row(name: str) -> dict[str, Any]:
    named = {"kernel": name, "name": name}  # `name` is the former key
    try:
        found = kernel_of(name)
    except KernelLayerError as error:
        return {**named, "summary": "", "cases": [], "problem": str(error)}
    return {**named, "summary": found.summary, "cases": list(found.cases), "problem": ""}


@command.command()
@options.kernel_argument
@click.option("--case", "-c", "case", help="Case whose tuning is shown. Default: the kernel's own.")
@options.json_option
@announced("loading {kernel}")
def show(kernel: str, case: str | None, as_json: bool) -> None:
    """Cases, input sets, tolerances, tuning and budgets of KERNEL."""
    found = kernel_of(kernel)
    chosen = case or found.default_case
    _checked(found, kernel, chosen, {})
    with preflight.answering(found, f"its specs or tuning() of case '{chosen}'"):
        facts = {"kernel": kernel, **_facts(found, chosen)}
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    console = output_console()
    console.print(f"[bold]{kernel}[/bold]  {found.summary}")
    for title, rows in facts.items():
        if isinstance(rows, dict):
            table = Table(title=title.replace("_", " "), title_justify="left", box=None, show_header=False)
            for name, value in rows.items():
                table.add_row(str(name), _text(value))
            console.print(table)


command.add_command(kernel_check.command)


@command.command()
@options.kernel_argument
@click.option("--case", "-c", "case", help="Case to verify. Default: the kernel's own.")
@options.tuning_option
@options.json_option
@announced("verifying {kernel}")
def verify(kernel: str, case: str | None, tuning: tuple[str, ...], as_json: bool) -> None:
    """Execute KERNEL again after every compiler pass and compare with what was recorded.

    Lists the passes whose graph agrees, those that differ, and those PyPTO's calculator cannot execute, with its
    reason. Fails where a pass differs or none could be executed. Simulated platform only.
    """
    from jobs.kernel_process.execution import KernelExecution

    found = kernel_of(kernel)
    chosen = case or found.default_case
    overrides = options.parse_tuning(tuning)
    _checked(found, kernel, chosen, overrides)
    checks = KernelExecution(kernel, found, chosen, overrides, paths.cache(), Timeouts().trial_s).verified()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        _print_checks(checks)
    executed = [check for check in checks if check.compared]
    click.echo(f"{len(executed)} of {len(checks)} passes executed", err=True)
    if not executed or not all(check.agrees for check in executed):
        sys.exit(ExitCode.FAILED)


def _print_checks(checks: list[PassCheck]) -> None:
    table = NamedRows()
    for heading in ("pass", "tensors", "result", "max abs diff", "max rel diff"):
        table.add_column(heading)
    for check in checks:
        result = "agrees" if check.agrees else "DIFFERS" if check.compared else check.reason
        differences = (f"{check.max_abs_diff:g}", f"{check.max_rel_diff:g}") if check.compared else ("", "")
        table.add_row(f"{check.number:02} {check.name}", str(check.compared), result, *differences)
    output_console().print(table)


@command.command("exec")
@options.kernel_argument
@click.option("--inputs", "source", type=click.Path(path_type=Path), required=True, help="Safetensors file to read.")
@click.option("--outputs", "target", type=click.Path(path_type=Path), required=True, help="Safetensors file to write.")
@click.option("--case", "-c", "case", help="Case whose shapes the inputs have. Default: the kernel's own.")
@options.platform_option
@options.tuning_option
@options.json_option
@announced("running {kernel} once")
def exec_(
    kernel: str, source: Path, target: Path, case: str | None, platform: str, tuning: tuple[str, ...], as_json: bool
) -> None:
    """Run KERNEL once on your own tensors.

    The inputs' names, shapes and dtypes are those of the operator's table; `farm kernel show` lists them.
    """
    from jobs.kernel_process.execution import KernelExecution

    found = kernel_of(kernel)
    chosen = case or found.default_case
    overrides = options.parse_tuning(tuning)
    _checked(found, kernel, chosen, overrides)
    runner = find_platform(platform)
    preflight.require(runner)
    execution = KernelExecution(kernel, found, chosen, overrides, paths.cache(), Timeouts().trial_s)
    wall_us, clock = execution.on_file(runner, source, target), runner.clock.value
    if as_json:
        told = {"kernel": kernel, "case": chosen, "wall_us": wall_us, "clock": clock, "outputs": str(target)}
        click.echo(json.dumps(told, indent=2))
    else:
        took = "no time" if wall_us is None else f"{wall_us:.2f} µs {clock}"
        click.echo(f"{kernel} {chosen}: {took}, outputs in {target}")


def _checked(found: Kernel, name: str, case: str, overrides: dict[str, str]) -> None:
    preflight.check(
        RunRequest(
            kernel=name,
            cases=[case],
            platform=options.DEFAULT_PLATFORM,
            devices=1,
            repeats=1,
            input_set=next(iter(found.input_sets)),
            seed=0,
            tuning=overrides,
        )
    )


def _facts(found: Kernel, case: str) -> dict[str, Any]:
    budgets = {name: load_budget(found.budgets(), name, case) for name in platform_names()}
    return {
        "name": found.name,  # what the plug-in calls itself; the former key of the kernel
        "case": case,
        "cases": {name: {"summary": entry.summary, **entry.dims} for name, entry in found.cases.items()},
        "inputs": {spec.name: f"{list(spec.shape)} {spec.dtype}" for spec in found.input_specs(case)},
        "outputs": {spec.name: f"{list(spec.shape)} {spec.dtype}" for spec in found.output_specs(case)},
        "input_sets": dict(found.input_sets),
        "tolerances": {
            name: {"atol": bound.atol, "rtol": bound.rtol, "outlier_share": bound.outlier_share}
            for name, bound in found.tolerances.items()
        },
        "tuning": found.tuning(case, {}).as_dict(),
        "budgets": {
            name: {"ceiling_us": budget.ceiling_us, "ratchet_us": budget.ratchet_us, "source": budget.source}
            for name, budget in budgets.items()
            if budget is not None
        },
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {entry}" for key, entry in value.items())
    return str(value)
