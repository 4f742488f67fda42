"""How the command of a set-up step is started. The default confines nothing; what confines it is given from above."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from kernel.harness import process_tree
from kernel.harness.process_tree import Bounds, ProcessExit


class StepLaunch(Protocol):
    """Runs one command of a set-up, hands on what it prints, and leaves no process behind."""

    def __call__(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        measured: Path,
        *,
        writable: Sequence[Path],
        readable: Sequence[Path],
        network: bool,
    ) -> ProcessExit:
        """Run `command` in `directory`. The disk quota is of what lies below `measured`.

        It may write below `writable`, read below `readable`, and reach a network where `network` is set. Links below
        `writable` stay as they are: libraries and environments consist of them. Raises `OSError`.
        """
        ...


def unconfined(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    bounds: Bounds,
    on_output: Callable[[bytes], None],
    measured: Path,
    *,
    writable: Sequence[Path],
    readable: Sequence[Path],
    network: bool,
) -> ProcessExit:
    """Follow `StepLaunch` as the farm's user, for a repository that is trusted."""
    return process_tree.run(command, directory, environment, bounds, on_output, measured)
