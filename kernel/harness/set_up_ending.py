"""Whose fault a set-up step's failure is. Pure.

A failing build proves nothing by itself: it may be the commit's or the machine's. A missing tool, a full disk and a
network that does not answer are the machine's.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kernel.errors import HarnessError
from kernel.harness.process_tree import ProcessExit, Stop
from kernel.harness.profile_setup import Setup
from kernel.harness.reading import Seen, plain
from kernel.harness.signatures import OWN_KINDS

_NOT_FOUND = 127  # a shell's exit code for a command that it does not find
_FIRST_SIGNAL = 128
_KEPT_CHARACTERS = 240
_LINE_BYTES = 8 << 10  # what is beyond it in one line is not read
_MOST_CAPTURED = 4096  # characters of a variable
# What a build tool prints after the error that it is about.
_SUMMARY = re.compile(r"^(?:g?make(?:\[\d+\])?: |ninja: |cmake --build|subprocess\.CalledProcessError|FAILED: )")
_TELLING = re.compile(
    r"(?i)\b(?:errors?|fatal|failed|cannot|can't|undefined reference|not found|no such file|denied)\b"
)
_COMMAND_NOT_FOUND = re.compile(
    r"(?:^|: )(?P<program>[^\s:]+): (?:command not found|not found|No such file or directory)$"
)


@dataclass(slots=True)
class StepOutput:
    """Takes what a step prints: the values it captures, and the line that says most of a failure."""

    step: Setup
    captured: dict[str, str] = field(default_factory=dict)
    telling: str = ""  # the last line that speaks of an error, and is no summary
    absent: str = ""  # the last program that a shell did not find
    _patterns: dict[str, re.Pattern[str]] = field(init=False)
    _rest: bytes = b""  # of a line whose end has not come

    def __post_init__(self) -> None:
        """Compile what is searched in every line."""
        self._patterns = {name: re.compile(text) for name, text in self.step.capture.items()}

    def feed(self, data: bytes) -> None:
        """Read on. Lines end where they do for `kernel.harness.reading.Reader`."""
        *lines, rest = (self._rest + data.replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            self._take(plain(line[:_LINE_BYTES].decode(errors="replace")))
        self._rest = rest[:_LINE_BYTES]

    def close(self) -> None:
        """Read what has no end of line."""
        self.feed(b"\n")

    def _take(self, line: str) -> None:
        """A later match replaces an earlier one."""
        for name, pattern in self._patterns.items():
            if (found := pattern.search(line)) and found[1] is not None:
                self.captured[name] = found[1][:_MOST_CAPTURED]
        if _TELLING.search(line) and not _SUMMARY.search(line.strip()):
            self.telling = line.strip()[:_KEPT_CHARACTERS]
        if found := _COMMAND_NOT_FOUND.search(line.strip()):
            self.absent = found["program"].strip("'\"\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}")

    def failure(self, ended: ProcessExit, seen: Seen, own: Callable[[str], bool]) -> HarnessError | None:
        """Return why the step failed; None where it ended well.

        Args:
            ended: How its command ended.
            seen: What the signatures of faults made of what it printed.
            own: Whether a program, as it is named, belongs to the repository.
        """
        whose = f"set-up step {self.step.name}"
        said = self.telling or seen.last
        told = f"; it printed: {said}" if said else ""
        if ended.problem:
            kind = "setup" if own(self.step.command[0] if self.step.command else "") else "platform-unavailable"
            return HarnessError(kind, f"{whose} cannot be started: {ended.problem}")
        if ended.stopped is not Stop.NONE:
            return self._stopped(ended, whose, told)
        if ended.exit_code == 0:
            return self._uncaptured(whose)
        machine = [sign for _, sign in sorted(seen.signs.items()) if sign.kind not in {*OWN_KINDS, "device"}]
        if machine and not (self.absent and own(self.absent)):
            return HarnessError(machine[0].kind, f"{whose}: {machine[0].line}")
        if ended.exit_code is None:
            return HarnessError("killed-9", f"{whose}: nobody saw it end, its supervisor was killed{told}")
        return self._exited(ended.exit_code, whose, told, own)

    def _stopped(self, ended: ProcessExit, whose: str, told: str) -> HarnessError:
        limits = self.step.limits
        if ended.stopped is Stop.TIME:
            return HarnessError("setup-hang", f"{whose}: no end within {limits.seconds:g} s; it was killed{told}")
        if ended.stopped is Stop.QUOTA:
            return HarnessError("disk-quota", f"{whose} wrote more than the {limits.disk_mb} MB it may, and was ended")
        if ended.stopped is Stop.DISK:
            return HarnessError("disk-full", f"{whose}: no space left on the disk of the cache")
        return HarnessError("over-limit", f"{whose} exceeded a limit ({ended.over}) and was ended")

    def _exited(self, code: int, whose: str, told: str, own: Callable[[str], bool]) -> HarnessError:
        code = code if code >= 0 else _FIRST_SIGNAL - code
        if code == _FIRST_SIGNAL + signal.SIGKILL:
            return HarnessError("killed-9", f"{whose}: exit code {code} (SIGKILL){told}")
        if code == _FIRST_SIGNAL + signal.SIGXFSZ:
            return HarnessError(
                "disk-quota", f"{whose} wrote a file larger than the {self.step.limits.disk_mb} MB it may"
            )
        if code == _NOT_FOUND and not own(self.absent):
            return HarnessError("platform-unavailable", f"{whose}: a program is missing{told}")
        return HarnessError("setup", f"{whose}: exit code {code}{told}")

    def _uncaptured(self, whose: str) -> HarnessError | None:
        for name, pattern in self._patterns.items():
            if name not in self.captured:
                return HarnessError("setup", f"{whose} printed no line that fits '{pattern.pattern}', for {name}")
            if "\0" in self.captured[name]:
                return HarnessError("setup", f"{whose} printed a NUL byte in the value of {name}")
        return None


def unmade(step: Setup, problems: Sequence[str]) -> HarnessError | None:
    """Return the failure of a step that ended well without what it was to make; None where there are no problems."""
    if not problems:
        return None
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return HarnessError("setup", f"set-up step {step.name} ended with exit code 0, but {problems[0]}{more}")
