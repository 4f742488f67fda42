"""Which commits to test next. Pure: knows positions in a line of commits, and nothing of git, devices or times.

Positions run from 0, the known good commit, to the known bad one. With n devices a round tests n commits that part the
open ones evenly, so what is left shrinks to an (n + 1)th: of 63 open commits three devices leave 15, then 3, then none.
A commit that cannot be judged (it does not build, it is too noisy) is passed over and never asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from farm.model.bisect import Answer


@dataclass(frozen=True, slots=True)
class BisectSearch:
    """The change lies behind `good`, at `bad` or before it."""

    good: int  # the last position known to be good
    bad: int  # the first known to be bad
    skipped: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if not self.good < self.bad:
            raise ValueError(f"good {self.good} does not come before bad {self.bad}")

    @property
    def open(self) -> list[int]:
        """Positions whose answer would narrow the search, oldest first."""
        return [position for position in range(self.good + 1, self.bad) if position not in self.skipped]

    @property
    def suspects(self) -> list[int]:
        """Every position the change may be at: one where it is found, more where skipped ones stand before it."""
        return list(range(self.good + 1, self.bad + 1))

    def probes(self, devices: int) -> list[int]:
        """Up to `devices` open positions that part the open ones evenly; empty when there is nothing left to test."""
        positions = self.open
        count = min(devices, len(positions))
        return [positions[(len(positions) + 1) * number // (count + 1) - 1] for number in range(1, count + 1)]

    def after(self, answers: Mapping[int, Answer]) -> BisectSearch:
        """The search once `answers` (position → answer) are known.

        Where several changes lie in the range, the answers alternate: the oldest one is followed.
        """
        bad = min([self.bad, *(at for at, answer in answers.items() if answer is Answer.BAD and at > self.good)])
        good = max([self.good, *(at for at, answer in answers.items() if answer is Answer.GOOD and at < bad)])
        skipped = {at for at, answer in answers.items() if answer is Answer.SKIPPED}
        return replace(self, good=good, bad=bad, skipped=self.skipped | skipped)


def contradictions(answers: Mapping[int, Answer]) -> list[int]:
    """Good positions behind a bad one: the range holds more than one change, or the test is not steady."""
    bad = [at for at, answer in answers.items() if answer is Answer.BAD]
    return sorted(at for at, answer in answers.items() if answer is Answer.GOOD and bad and at > min(bad))


def rounds_needed(open_commits: int, devices: int) -> int:
    """Rounds a search over `open_commits` takes where none is skipped: ⌈log(open + 1) to the base devices + 1⌉.

    In integers: a logarithm in floating point rounds 64 to the base 4 to something above 3.
    """
    if devices < 1 or open_commits < 0:
        raise ValueError(f"{open_commits} commits on {devices} devices are nothing to search")
    rounds, reach = 0, 1
    while reach < open_commits + 1:
        rounds, reach = rounds + 1, reach * (devices + 1)
    return rounds
