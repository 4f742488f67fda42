"""How a suite's command is started: by whom its processes are kept in bounds, and what they see of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from kernel.harness import process_tree
from kernel.harness.process_tree import Bounds, ProcessExit
from kernel.harness.step_launch import StepLaunch, unconfined


class Launcher(Protocol):
    """Starts one command, hands on what it prints, and leaves no process behind."""

    @property
    def confined(self) -> bool:
        """Whether the command is somebody's commit: kept from everything that it is not shown."""
        ...

    @property
    def step(self) -> StepLaunch:
        """What starts the commands of set-up steps, kept apart in the same way."""
        ...

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        measured: Path,
        readable: Sequence[Path],
        devices: Sequence[int],
    ) -> ProcessExit:
        """Run `command` in `directory` with `environment`.

        It may write below `measured`, of which the disk quota is, and read below `readable`. `devices` are the physical
        ids of those it may use; empty where they are simulated. `on_output` gets what it prints, stderr included.
        Raises `OSError`.
        """
        ...


class UnconfinedLauncher:
    """The command runs as the farm's user and sees what that user sees: for repositories that are trusted."""

    confined = False

    @property
    def step(self) -> StepLaunch:
        """Start them unconfined as well."""
        return unconfined

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        measured: Path,
        readable: Sequence[Path],
        devices: Sequence[int],
    ) -> ProcessExit:
        """Run it under `kernel.harness.process_tree`."""
        return process_tree.run(command, directory, environment, bounds, on_output, measured)
