"""What is known of every test of a suite while workers run it, and which tests a device may still be given.

A test that may be anyone's fault is given to another physical card, and never twice to one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farm.model.attempts import MAX_ATTEMPTS
from farm.testing.foreign.attempt import Attempt, AttemptEnding, Judgement, Place, judged
from kernel.harness.profile import Profile

WITNESSES = 2


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one test ended, after all its attempts."""

    __test__ = False  # its name begins like a test's

    name: str  # node id
    ending: AttemptEnding
    message: str
    text: str
    seconds: float
    device: str  # of the attempt that counts; "" where it was never begun
    before: tuple[str, ...] = ()  # earlier attempts: "device: message"


@dataclass(slots=True)
class Board:
    """The tests of one run. Not safe for threads: the caller holds a lock."""

    profile: Profile
    limit_s: float
    claims: Path  # a file a test that is or was given to a worker
    broken: dict[str, str] = field(default_factory=dict)  # what could not be collected → why
    deselected: int = 0
    differing: str = ""  # two workers collected different tests: the first one that differs
    unfit: set[str] = field(default_factory=set)  # cards
    _tests: dict[str, list[tuple[Attempt, Judgement]]] | None = None
    _dropped: set[str] = field(default_factory=set)

    def collect(self, tests: Sequence[str], dropped: Iterable[str], deselected: int) -> None:
        """Take what one worker has collected: all workers must find the same."""
        self._dropped.update(dropped)
        self.deselected = max(self.deselected, deselected)
        if self._tests is None:
            self._tests = {name: [] for name in tests}
        elif differing := sorted(set(tests) ^ set(self._tests)):
            self.differing = self.differing or differing[0]

    @property
    def known(self) -> bool:
        """Whether a worker has collected the tests."""
        return self._tests is not None

    def add(self, name: str, attempt: Attempt) -> None:
        """Take how one test ended in one process."""
        judgement = judged(attempt, self.profile, self.limit_s)
        assert self._tests is not None, "collect() comes first"
        self._tests.setdefault(name, []).append((attempt, judgement))
        if judgement.unfit:
            self.unfit.add(attempt.place.card)

    def give_back(self, worker: str) -> None:
        """Open the tests again that `worker`, whose process has ended, took and left without a result."""
        for claim in self.claims.iterdir():
            content = claim.read_text()
            owner, name = json.loads(content) if content else (worker, "")
            if owner == worker and self._open(name):
                claim.unlink()

    def free_for(self, place: Place) -> list[str]:
        """Return the tests that a worker on `place` may take now, in their order."""
        if place.card in self.unfit:
            return []
        return [
            name
            for name, attempts in (self._tests or {}).items()
            if self._open(name)
            and all(attempt.place.card != place.card for attempt, _ in attempts)
            and not (self.claims / hashlib.sha256(name.encode()).hexdigest()).exists()
        ]

    def _open(self, name: str) -> bool:
        """Whether another attempt could say more."""
        attempts = (self._tests or {}).get(name, [])
        if not attempts:
            return True
        last = attempts[-1][1]
        undecided = last.ending in (AttemptEnding.UNSURE, AttemptEnding.FAULT) and last.again
        return undecided and len(attempts) < MAX_ATTEMPTS and _proven(attempts) is None

    def results(self) -> list[TestResult]:
        """Return how each test ended, in their order; a test that was taken out of the suite unreported is one too."""
        tests = {**(self._tests or {}), **{name: [] for name in sorted(self._dropped - set(self._tests or {}))}}
        return [_result(name, attempts) for name, attempts in tests.items()]


def _result(name: str, attempts: Sequence[tuple[Attempt, Judgement]]) -> TestResult:
    if not attempts:
        told = "collected and not run: no fit device was left, or the suite ended early or took it out"
        return TestResult(name, AttemptEnding.FAULT, told, "", 0.0, "")
    attempt, last = attempts[-1]
    ending, message = last.ending, last.message
    proven = _proven(attempts)
    if proven is not None:
        ending, message = AttemptEnding.FAILED, proven
    elif ending is AttemptEnding.UNSURE:
        ending, message = AttemptEnding.FAULT, f"{message}; no second card has said the same"
    return TestResult(
        name,
        ending,
        message,
        last.text,
        sum(phase.seconds for phase in attempt.phases),
        attempt.place.id,
        tuple(f"{each.place.id}: {judgement.kind}: {judgement.message}" for each, judgement in attempts[:-1]),
    )


def _proven(attempts: Sequence[tuple[Attempt, Judgement]]) -> str | None:
    """Why the test itself is wrong; None where that is not proven. The same kind on two cards is proof."""
    unsure = [(attempt, told) for attempt, told in attempts if told.ending is AttemptEnding.UNSURE]
    kinds = Counter(told.kind for _, told in unsure)
    for kind, count in kinds.items():
        if count >= WITNESSES:
            where = ", ".join(attempt.place.id for attempt, told in unsure if told.kind == kind)
            said = next(told.message for _, told in unsure if told.kind == kind)
            return f"{kind} on {count} devices ({where}): {said}"
    return next((told.message for _, told in attempts if told.ending is AttemptEnding.FAILED), None)
