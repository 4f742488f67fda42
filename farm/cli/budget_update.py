"""`farm run --update-budget`: the times of a run become the times that the kernel has landed with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from farm.atomic_file import write_whole
from farm.errors import InfrastructureError, UsageError
from farm.model.budgets import load_budgets
from farm.model.landed import rounded_up, with_landed
from farm.model.run import GateStatus
from farm.text import microseconds
from kernel.clock import Clock

if TYPE_CHECKING:
    from farm.model.run import RunRecord

_ABOUT_TIME = ("budget",)  # the gate whose answer an update is there to change


def update(record: RunRecord, budgets: Path, reason: str) -> None:
    """Add the medians of `record` to `budgets` with `reason`; say what was added. The run keeps its verdict.

    Raises `UsageError` where the run's times cannot be landed, and `InfrastructureError` for a file that cannot be
    written.
    """
    _require_landable(record)
    known = load_budgets(budgets)
    text, added = budgets.read_text(encoding="utf-8"), []
    for case in record.cases:
        us = record.median_us[case].overall
        assert us is not None, "a run whose gates have passed has the median of each case"
        budget = known.get((record.platform, case))
        before = budget.ratchet_us if budget else None
        if before != rounded_up(us):
            text = with_landed(text, record.platform, case, us, reason)
            added.append(f"{case} {microseconds(before)} to {microseconds(rounded_up(us))} µs")
    if not added:
        click.echo(f"farm: {budgets} has these times already", err=True)
        return
    try:
        write_whole(budgets, text)
    except OSError as error:
        raise InfrastructureError(f"{budgets} cannot be written: {error.strerror}; change it by hand") from error
    click.echo(f"farm: {budgets}: {', '.join(added)}; review and commit it", err=True)


def _require_landable(record: RunRecord) -> None:
    if record.clock is not Clock.SIMULATED:
        raise UsageError(
            f"--update-budget is for simulated times; those of '{record.platform}' vary from run to run: set ceiling_us"
        )
    open_gates = [
        gate.name
        for gate in record.gates
        if gate.status not in (GateStatus.PASSED, GateStatus.NOT_APPLICABLE) and gate.name not in _ABOUT_TIME
    ]
    without = [case for case in record.cases if case not in record.median_us or record.median_us[case].overall is None]
    if open_gates or without or not record.gates:
        why = f"{open_gates[0]} did not pass" if open_gates else "a case has no time"
        raise UsageError(f"the budget stays as it is: {why} in run {record.run_id}")
