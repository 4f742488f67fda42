"""The environment that a toolchain's scripts leave, as CANN's `set_env.sh` or the `activate` of a venv do."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernel.errors import HarnessError
from kernel.harness.launch import Access, Launcher
from kernel.harness.process_tree import MARK, Bounds, ProcessExit, Stop

_SECONDS = 60.0
_DISK_BYTES = 64 << 20
_MOST_BYTES = 1 << 20  # of the environment: a system gives a process not much more
_KEPT_BYTES = 4096  # of what the scripts print last
_LEFT = "environment"
# Python sets LC_CTYPE where the locale is C, and a supervisor in Python is above the shell.
_SHELLS_OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "LC_CTYPE", MARK})


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """What scripts make of an environment."""

    set: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def applied(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return `environment` with the change."""
        return {**{name: value for name, value in environment.items() if name not in self.unset}, **self.set}

    def without(self, names: Collection[str]) -> EnvironmentChange:
        """Return the change but for the variables `names`, which somebody else decides."""
        kept = {name: value for name, value in self.set.items() if name not in names}
        return EnvironmentChange(kept, tuple(name for name in self.unset if name not in names))

    def around(self, command: Sequence[str]) -> list[str]:
        """Return `command` so that it starts with the change.

        What starts the command, outside of its sandbox perhaps, does not get it: `LD_PRELOAD` would take effect there.
        """
        if not (self.set or self.unset):
            return list(command)
        unset = [word for name in self.unset for word in ("-u", name)]
        return ["/usr/bin/env", *unset, "--", *(f"{name}={value}" for name, value in self.set.items()), *command]


def change(
    scripts: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    before: Mapping[str, str],
    work: Path,
    launcher: Launcher,
    readable: Sequence[Path],
) -> EnvironmentChange:
    """Return `before` with what `scripts`, sourced one after the other by bash in `directory`, change.

    Args:
        scripts: Absolute paths.
        directory: Where the shell runs.
        environment: The whole environment of the shell, but for `before`.
        before: Further variables, that steps of the repository have printed.
        work: An empty directory to write to.
        launcher: Starts the shell.
        readable: What the scripts may read.

    Raises:
        HarnessError: A script is not there, fails, or ends the shell.
    """
    printed_by_steps = EnvironmentChange(before)
    if not scripts:
        return printed_by_steps
    for script in scripts:
        if not Path(script).is_file():
            kind = "setup" if Path(script).is_relative_to(directory) else "platform-unavailable"
            raise HarnessError(kind, f"set-up: there is no {script} to activate")
    # Without arguments, which some scripts read. No `set -u`: most use variables that are not there.
    lines = ["set --", *(f". {shlex.quote(script)} || exit" for script in scripts)]
    left = work / _LEFT
    lines.append(f"exec /usr/bin/env -0 > {shlex.quote(str(left))}")
    printed = bytearray()

    def keep(data: bytes) -> None:
        printed.extend(data)
        del printed[:-_KEPT_BYTES]

    bounds = Bounds(_SECONDS, 1.0, _DISK_BYTES)
    command = printed_by_steps.around(["bash", "--noprofile", "--norc", "-c", "\n".join(lines)])
    access = Access(work, tuple(readable), lasting=True)
    ended = launcher.run(command, directory, environment, bounds, keep, access)
    _require_end(ended, scripts, bytes(printed))
    return _difference(environment, _read(left, scripts))


def _require_end(ended: ProcessExit, scripts: Sequence[str], printed: bytes) -> None:
    which = " and ".join(scripts)
    if ended.problem:
        raise HarnessError("platform-unavailable", f"set-up: {which} cannot be sourced: {ended.problem}")
    if ended.stopped is Stop.TIME:
        raise HarnessError("setup-hang", f"set-up: no end of {which} within {_SECONDS:g} s")
    if ended.stopped is Stop.DISK:
        raise HarnessError("disk-full", f"set-up: no space left on the disk, where {which} was sourced")
    if ended.exit_code != 0:
        last = printed.decode(errors="replace").strip().rpartition("\n")[2].strip()
        told = f"; it printed: {last}" if last else ""
        raise HarnessError("setup", f"set-up: sourcing {which} ended with exit code {ended.exit_code}{told}")


def _read(left: Path, scripts: Sequence[str]) -> dict[str, str]:
    try:
        if left.is_symlink():
            raise FileNotFoundError
        with left.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        problem = f"set-up: {' and '.join(scripts)} ended the shell before its environment could be read"
        raise HarnessError("setup", problem) from error
    if len(data) > _MOST_BYTES:
        raise HarnessError("setup", f"set-up: {' and '.join(scripts)} left an environment above {_MOST_BYTES >> 20} MB")
    pairs = (os.fsdecode(entry).partition("=") for entry in data.split(b"\0") if entry)
    return {name: value for name, mark, value in pairs if name and mark}


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> EnvironmentChange:
    """What differs, without what every shell changes."""
    changed = {name: value for name, value in after.items() if name not in _SHELLS_OWN and before.get(name) != value}
    return EnvironmentChange(changed, tuple(sorted(before.keys() - after.keys() - _SHELLS_OWN)))
