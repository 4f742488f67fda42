"""Sets a suite's repository up before any device is leased, and records what that took here and on other machines."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.model.run import SetupRecord
from jobs.records import Arm
from jobs.visible_text import made_visible
from kernel.errors import words_of
from kernel.harness import step_files
from kernel.harness.step_record import SetupError, SetupStep
from kernel.platforms.command import Command


@dataclass(frozen=True, slots=True)
class Prepared:
    """The set-up steps of one program, on this machine."""

    arm: Arm
    steps: tuple[SetupStep, ...]


def prepared(
    platforms: Mapping[Arm, Command], cache: Path, preparing: Callable[[str], None] = lambda what: None
) -> list[Prepared]:
    """Run the set-up steps of each of `platforms` that have not been run on this machine.

    A failure is not raised: the first trial tries again, and the trials decide whose fault it is.
    """
    made = []
    for arm, platform in platforms.items():
        platform.prepare(cache)
        platform.repository.on_step = preparing
        try:
            steps = platform.set_up().steps
        except SetupError as error:
            steps = error.steps
        except OSError as error:
            steps = (SetupStep(platform.profile.setup[0].name, problem=words_of(error)),)
        if steps:
            made.append(Prepared(arm, steps))
    return made


def records_of(made: Iterable[Prepared], run: Path) -> list[SetupRecord]:
    """Return the records of what was made here; the logs are copied to below the run's directory."""
    machine = socket.gethostname()
    return [
        _record(machine, step_files.copied(step, run / "set-up" / each.arm.value), run, each.arm)
        for each in made
        for step in each.steps
    ]


def records_of_trials(run: Path) -> list[SetupRecord]:
    """Return the records of what trials had to make, on machines where nobody had."""
    return [_record(machine, step, run) for machine, step in step_files.left(sorted((run / "logs").glob("*")))]


def _record(machine: str, step: SetupStep, run: Path, arm: Arm = Arm.HEAD) -> SetupRecord:
    return SetupRecord(
        name=step.name,
        machine=machine,
        arm=arm,
        address=step.address,
        seconds=step.seconds,
        cached=step.cached,
        skipped=step.skipped,
        captured={name: str(made_visible(value)) for name, value in step.captured.items()},
        log=step.log.relative_to(run).as_posix() if step.log is not None else "",
        problem=step.problem,
    )
