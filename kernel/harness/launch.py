"""How a suite's commands are started: by whom their processes are kept in bounds, and what they see of the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kernel.harness import process_tree
from kernel.harness.process_tree import Bounds, ProcessExit


@dataclass(frozen=True, slots=True)
class Access:
    """What one command may reach, where something confines it."""

    place: Path  # it may write below it, and the disk quota is of what lies there
    readable: tuple[Path, ...] = ()  # besides the system, Python and the launcher's own
    devices: tuple[int, ...] = ()  # physical ids of those it may use; empty where they are simulated
    network: bool = False
    # What it writes outlasts it: libraries and environments consist of links, so those stay. Where it does not, the
    # farm reads what is there, and a link would have it read what the command itself could not.
    lasting: bool = False


class Launcher(Protocol):
    """Starts one command, of a trial or of a set-up step, and leaves no process behind."""

    @property
    def confined(self) -> bool:
        """Whether the command is somebody's commit: kept from everything that it is not shown."""
        ...

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        access: Access,
    ) -> ProcessExit:
        """Run `command` in `directory` with `environment`.

        `on_output` gets what it prints, stderr included. Raises `OSError`.
        """
        ...


class UnconfinedLauncher:
    """The command runs as the farm's user and sees what that user sees: for repositories that are trusted."""

    confined = False

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        access: Access,
    ) -> ProcessExit:
        """Run it under `kernel.harness.process_tree`."""
        return process_tree.run(command, directory, environment, bounds, on_output, access.place)
