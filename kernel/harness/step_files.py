"""What a trial leaves of the set-up steps that it had to run: their logs, and a list for the reports of the run.

Most trials leave nothing: an earlier one on their machine has run the steps.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from kernel.harness.step_record import SetupStep

_LIST = "set-up.json"
_MOST_CHARACTERS = 1 << 20  # of a list: it lies where a trial's processes have written


def leave(steps: Sequence[SetupStep], directory: Path, failed_log: Path | None = None) -> None:
    """Copy the logs of `steps` to `directory` and list the steps there, if any of them was run or has failed.

    The log of the one that failed is copied to `failed_log` as well.
    """
    if not any(step.problem or (step.address and not step.cached) for step in steps):
        return
    kept = [copied(step, directory) for step in steps]
    rows = [{**asdict(step), "log": step.log.name if step.log else ""} for step in kept]
    (directory / _LIST).write_text(json.dumps({"machine": socket.gethostname(), "steps": rows}, indent=1))
    if failed_log is not None and kept[-1].log is not None:
        shutil.copyfile(kept[-1].log, failed_log)


def copied(step: SetupStep, directory: Path) -> SetupStep:
    """Return `step` with a copy of its log in `directory`: a cache may be deleted."""
    if step.log is None:
        return step
    target = directory / f"set-up-{step.name}.log"
    with contextlib.suppress(FileNotFoundError):
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(step.log, target)
        return replace(step, log=target)
    return replace(step, log=None)


def left(directories: Sequence[Path]) -> Iterator[tuple[str, SetupStep]]:
    """Yield machine and step of what trials with these directories had to run; lists that cannot be read are none."""
    for directory in directories:
        try:
            with (directory / _LIST).open(encoding="utf-8") as file:
                told = json.loads(file.read(_MOST_CHARACTERS))
            steps = [_step(row, directory) for row in told["steps"]]
            machine = str(told["machine"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        for step in steps:
            yield machine, step


def _step(row: dict[str, object], directory: Path) -> SetupStep:
    captured = dict(row["captured"])  # type: ignore[call-overload]
    log = Path(str(row["log"])).name
    return SetupStep(
        name=str(row["name"]),
        address=str(row["address"]),
        seconds=float(str(row["seconds"])),
        cached=bool(row["cached"]),
        skipped=bool(row["skipped"]),
        log=directory / log if log else None,
        captured={str(name): str(value) for name, value in captured.items()},
        problem=str(row["problem"]),
    )
