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


def shown(run: Callable[[Observer], RunRecord], as_json: bool) -> NoReturn:
    """Call `run`, show what it does and what it says, and end the process with the verdict's exit code."""
    interrupt_on_sigterm()
    sys.exit(of_verdict(show(run, as_json).verdict))


def show(run: Callable[[Observer], RunRecord], as_json: bool) -> RunRecord:
    """Call `run`, show what it does and what it says, and return its record."""
    from rich.console import Console

    from farm.cli.run_progress import view
    from farm.report.run.terminal import summary

    console = Console(file=sys.stdout)
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
