"""A run before the user's eyes: progress while it goes on, the answer at the end, and the verdict as the exit code."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from farm.cli.exit_codes import of_verdict
from farm.cli.termination_signal import interrupt_on_sigterm

if TYPE_CHECKING:
    from farm.execution.observer import Observer
    from farm.model.run import RunRecord


def shown(
    run: Callable[[Observer], RunRecord], as_json: bool, after: Callable[[RunRecord], None] = lambda record: None
) -> NoReturn:
    """Call `run`, show what it does and what it says, and end the process with the verdict's exit code.

    `after` gets the record once it is shown.
    """
    from farm.validation.conduct import INTERRUPTED

    interrupt_on_sigterm()
    record = show(run, as_json)
    after(record)
    if record.reason == INTERRUPTED:
        click.echo(f"farm: go on with it: farm resume {record.run_id}", err=True)
    sys.exit(of_verdict(record.verdict))


def show(run: Callable[[Observer], RunRecord], as_json: bool) -> RunRecord:
    """Call `run`, show what it does and what it says, and return its record."""
    from farm.cli.run_progress import view
    from farm.report.console import output_console
    from farm.report.run.terminal import summary

    console = output_console()
    chatter = io.StringIO()  # Ray prints what befalls its workers to sys.stdout, from a thread of its own
    with view(console, quiet=as_json) as observer, contextlib.redirect_stdout(chatter):
        record = run(observer)
    if chatter.getvalue():
        (Path(record.directory) / "logs" / "ray.log").write_text(chatter.getvalue())
    if as_json:
        click.echo(record.model_dump_json(indent=2))
    else:
        console.print(summary(record, _history(record)))
    return record


def _history(record: RunRecord) -> dict[str, list[float]]:
    """Nothing where the store is away, or has not the run: it has its verdict all the same."""
    if record.request.local:
        return {}
    from farm.errors import InfrastructureError
    from farm.store.run_lookup import history

    try:
        return history(record)
    except InfrastructureError:
        return {}
