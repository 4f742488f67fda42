"""The command of a profile that runs pytest on one file, as a command for one worker of the whole suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from farm.errors import UsageError
from kernel.harness.profile import Profile
from kernel.harness.profile_sections import Template

_PYTEST = ("pytest", "py.test")
_RESULTS = ("--junitxml", "--junit-xml")
PLUGIN = "farm_pytest_worker"


@dataclass(frozen=True, slots=True)
class PytestCall:
    """The words of a profile's command, as templates."""

    program: tuple[Template, ...]  # up to pytest
    options: tuple[Template, ...]  # behind it, without the file and the file of results

    def words(self, known: dict[str, str], arguments: Sequence[str]) -> list[str]:
        """Return the whole command; `arguments` are paths and options of the person's.

        The last value of an option counts: a suite that stops at its first failure would leave tests without an end.
        """
        return [
            *(word.format_map(known) for word in self.program),
            *("-p", PLUGIN),
            *(word.format_map(known) for word in self.options),
            *arguments,
            "--maxfail=0",
        ]

    def help_words(self, known: dict[str, str], arguments: Sequence[str]) -> list[str]:
        """Return the command that prints which options the suite takes."""
        return [*(word.format_map(known) for word in (*self.program, *self.options)), *arguments, "--help"]


def of(profile: Profile) -> PytestCall:
    """Return how `profile` calls pytest. Raises `UsageError` where it calls something else."""
    at = next((n for n, word in enumerate(profile.command) if Path(word).name in _PYTEST), None)
    if at is None:
        called = " ".join(profile.command)
        raise UsageError(
            f"profile {profile.name} runs no pytest: its command is '{called}'; use farm run --suite {profile.name}"
        )
    options, rest = [], iter(profile.command[at + 1 :])
    for word in rest:
        if word in _RESULTS:
            next(rest, None)
        elif word != "{file}" and word.partition("=")[0] not in _RESULTS:
            options.append(word)
    return PytestCall(tuple(profile.command[: at + 1]), tuple(options))
