"""A run before the user's eyes: progress while it goes on, the answer at the end, and the verdict as the exit code."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console

from farm.cli.exit_codes import of_verdict
from farm.cli.run_progress import view
from farm.execution.observer import Observer
from farm.model.run import RunRecord
from farm.report.run.terminal import summary
from farm.store.run_lookup import history


def shown(run: Callable[[Observer], RunRecord], as_json: bool) -> NoReturn:
    """Call `run`, show what it does and what it says, and end the process with the verdict's exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(file=sys.stdout)
    chatter = io.StringIO()  # Ray prints what befalls its workers to sys.stdout, from a thread of its own
    with view(console, quiet=as_json) as observer, contextlib.redirect_stdout(chatter):
        record = run(observer)
    if chatter.getvalue():
        (Path(record.directory) / "logs" / "ray.log").write_text(chatter.getvalue())
    if as_json:
        click.echo(record.model_dump_json(indent=2))
    else:
        console.print(summary(record, history(record)))
    sys.exit(of_verdict(record.verdict))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """A polite kill ends a run the way Ctrl-C does."""
    raise KeyboardInterrupt
