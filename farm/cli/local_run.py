"""`farm run --local`: the author's loop, on one device of this machine, without a lease and without Ray."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from farm.cli.exit_codes import ExitCode, of_verdict, show_error
from farm.cli.run_output import show
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.errors import FarmError, UsageError
from farm.text import counted
from kernel.errors import KernelLayerError

if TYPE_CHECKING:
    from farm.execution.observer import Observer
    from farm.execution.session import SessionOptions
    from farm.model.run import RunRecord, RunRequest
    from farm.validation.local_run import LocalRun
    from kernel.spec import Kernel

REPEATS = 1  # unless asked for: on one device with exact times, more of them tell a race and nothing else
KEPT_RUNS = 10  # of one watch; a save makes a run, and an afternoon hundreds
# What asks for devices of a cluster, for a program from a commit, or for a place in the store.
_WITHOUT = {
    "devices": "--devices",
    "source": "--source",
    "commit": "--commit",
    "base": "--base",
    "require_sandbox": "--require-sandbox",
    "run_id": "--run-id",
    "address": "--address",
    "wait_s": "--wait",
    "priority": "--priority",
    "spread": "--spread",
    "soc": "--soc",
    "nodes": "--node",
    "devices_named": "--device",
}


def require_local_options(context: click.Context) -> None:
    """Raise `UsageError` where an option beside `--local` has no meaning there."""
    given = [option for name, option in _WITHOUT.items() if is_given(context, name)]
    if given:
        raise UsageError(
            f"--local runs the kernel on one device of this machine, which nobody leases; leave out {', '.join(given)}"
        )


def is_given(context: click.Context, name: str) -> bool:
    """Return whether the parameter `name` was typed."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def carry_out(
    kernel: str,
    platform: str,
    request: Callable[[Kernel], RunRequest],
    how: SessionOptions,
    *,
    watch: bool,
    as_json: bool,
    after: Callable[[RunRecord], None],
) -> NoReturn:
    """Run `kernel` on one device of this machine, with `watch` again at each save, and end with the exit code.

    `after` gets the record of a run that is not watched, once it is shown.
    """
    from farm.validation.local_run import LocalRun, open_device

    interrupt_on_sigterm()
    with open_device(platform, again=watch) as device:
        run = LocalRun(kernel, request, replace(how, local=device))
        if watch:
            sys.exit(_watch(run, as_json))
        record = show(lambda shown: run.once(shown)[0], as_json)
        after(record)
    sys.exit(of_verdict(record.verdict))


def _watch(run: LocalRun, as_json: bool) -> ExitCode:
    """Run at each save until Ctrl-C; return the exit code of the last run."""
    from farm.validation.conduct import INTERRUPTED
    from farm.validation.local_run import watched_files
    from farm.validation.watch import WatchedFiles

    sources: set[Path] = set()
    files = WatchedFiles(lambda: watched_files(run.kernel, sources))
    directories: deque[Path] = deque()
    code, changed = ExitCode.PASSED, set[Path]()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            saved_s = _saved_s(changed)
            code, record = _once(run, sources, as_json)
            if record is not None:
                _drop_older(directories, Path(record.directory))
                if record.reason == INTERRUPTED:
                    break
            files.adopt()
            if not (watched := watched_files(run.kernel, sources)):
                break  # an installed kernel that cannot be loaded names no files
            took = f"{time.time() - saved_s:.1f} s after the save; " if saved_s else ""
            click.echo(f"farm: {took}watching {counted(len(watched), 'file')}, Ctrl-C ends", err=True)
            changed = files.wait()
            run.forget(changed)
    return code


def _once(run: LocalRun, sources: set[Path], as_json: bool) -> tuple[ExitCode, RunRecord | None]:
    """Run once; the exit code, and the record, None where a mistake ended it before. `sources` are brought up to date.

    Raises `KeyboardInterrupt`.
    """

    def shown(observer: Observer) -> RunRecord:
        record, found = run.once(observer)
        sources.clear()
        sources.update(found)
        return record

    try:
        record = show(shown, as_json)
    except (FarmError, KernelLayerError, OSError) as error:
        return show_error(error), None
    return of_verdict(record.verdict), record


def _saved_s(changed: Iterable[Path]) -> float | None:
    """When the last of the files was saved, as `time.time()` gives it; None where none is left."""
    return max((path.stat().st_mtime for path in changed if path.exists()), default=None)


def _drop_older(directories: deque[Path], newest: Path) -> None:
    """Remove the files of runs that this watch made, but for those of the last few."""
    directories.append(newest)
    while len(directories) > KEPT_RUNS:
        shutil.rmtree(directories.popleft(), ignore_errors=True)
