"""What a profile reads in the log of a run: each line with the rules it is taken for, and how the run would be judged.

The reader and the judgement are those of a run. It is a program too, `python -m farm.harness.log_reading`, for profiles
of other people: a regular expression can take for ever. It reads a `LogQuestion` as JSON and prints a `LogReading`,
and its memory and CPU time are limited.
"""

from __future__ import annotations

import io
import resource
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from farm.harness.profile_check import require_known_kinds
from jobs.faults import diagnosis
from jobs.faults.model import Action
from jobs.records import Record
from kernel.errors import DeviceError, HarnessError
from kernel.harness import results
from kernel.harness.ending import require_measured
from kernel.harness.process_tree import ProcessExit
from kernel.harness.profile import Profile, ProfileError, parse
from kernel.harness.profile_sections import Mismatch
from kernel.harness.reading import Reader, Seen
from kernel.harness.signatures import own_rule_names

MOST_CPU_S = 10
_MOST_MEMORY_BYTES = 1 << 30
MOST_LINES = 1000  # with a match that are kept, the first ones
_KEPT_CHARACTERS = 240
_BY_FILE = ("junit", "csv", "json")
_LINE_RULES = ("passed", "unvalidated", "output", "mode", "mode_name", "time")
_TWO_CARDS = (Action.ASK_ANOTHER_CARD, Action.RETRY_ONCE)

Judgement = Literal["passed", "failed", "errored", "not-applicable"]


class LogQuestion(Record):
    """What is asked."""

    profile: str  # TOML
    log: str
    exit_code: int = 0  # of the run that has printed the log
    file: str = ""  # the target's path, where the profile has rules for single files


class MatchedLine(Record):
    """A line of the log that says something."""

    number: int  # from 1
    rules: list[str]  # that it was taken for, keys of the profile
    text: str  # without colours and time stamp, shortened


class LogReading(Record):
    """What the profile reads in the log."""

    problem: str = ""  # with the profile, in one line; nothing else is known then
    profile: str = ""  # its name
    judgement: Judgement = "not-applicable"
    outcome: str = ""  # in words
    facts: list[str] = Field(default_factory=list)  # a line for each program, output, time and signature
    rules: dict[str, int] = Field(default_factory=dict)  # rule of the profile → lines that were taken for it
    lines: list[MatchedLine] = Field(default_factory=list)  # the first ones
    matched: int = 0  # lines in all
    total: int = 0  # lines of the log


class LogReader:
    """The reader of a run, with the place of each match in the log."""

    def __init__(self, profile: Profile) -> None:
        """`profile` is as it is for the file whose log is read."""
        self.seen = Seen()  # once it was read
        self._profile = profile
        self._reader = Reader(profile, self._note)
        self._counts = Counter(dict.fromkeys(rules_of(profile), 0))
        self._found: list[tuple[int, str, list[str]]] = []  # number, text, rules
        self._matched = self._total = 0
        self._last = (0, "")  # number and text of the last match

    def read(self, pieces: Iterable[bytes], exit_code: int) -> LogReading:
        """Read `pieces`, each a line or a part of one, and return what they say with the run's exit code."""
        unfinished = False
        for piece in pieces:
            self._reader.feed(piece)
            unfinished = not piece.endswith(b"\n")
            self._total += not unfinished
        self.seen = self._reader.close()
        self._total += unfinished
        judgement, outcome = judged(self._profile, self.seen, exit_code)
        return LogReading(
            profile=self._profile.name,
            judgement=judgement,
            outcome=outcome,
            facts=list(facts(self.seen)),
            rules=dict(self._counts),
            lines=[MatchedLine(number=number, text=text, rules=rules) for number, text, rules in self._found],
            matched=self._matched,
            total=self._total,
        )

    def _note(self, rule: str) -> None:
        """Keep that the line under way, or its part between two carriage returns, was taken for `rule`."""
        self._counts[rule] += 1
        place = (self._total + 1, self._reader.line.strip()[:_KEPT_CHARACTERS])
        if place != self._last:
            self._last = place
            self._matched += 1
            if self._matched <= MOST_LINES:
                self._found.append((*place, []))
        if self._matched <= MOST_LINES:
            self._found[-1][2].append(rule)


def read(asked: LogQuestion) -> LogReading:
    """Return what the profile in `asked` reads in the log; what is wrong with the profile is in the answer."""
    try:
        profile = parse(asked.profile, "profile")
        require_known_kinds(profile)
    except ProfileError as error:
        return LogReading(problem=" ".join(error.problem.split()))
    log = asked.log.replace("\r\n", "\n").encode(errors="replace")
    return LogReader(for_file(profile, asked.file)).read(io.BytesIO(log), asked.exit_code)


def for_file(profile: Profile, file: str) -> Profile:
    """Return the profile with what it says of `file` alone; platforms do not differ in how lines are read."""
    return profile.of(file, next(iter(profile.platforms))) if file else profile


def judged(profile: Profile, seen: Seen, exit_code: int) -> tuple[Judgement, str]:
    """Return what a run with this output and exit code is, and why; the files that it left are not looked at."""
    if profile.results.by in _BY_FILE:
        return "not-applicable", f"judged by {profile.results.file}, which a log does not show"
    seen.claims.update(results.claims(Path(), profile.results, exit_code))
    try:
        require_measured(profile, seen, ProcessExit(exit_code), "")
    except HarnessError as error:
        return _not_measured(error.kind, str(error))
    except DeviceError as error:
        return _not_measured(f"device-{error.code}", str(error))
    wrong = [name for name, claim in seen.claims.items() if not claim.passed]
    return ("failed", f"failed: {', '.join(wrong)}") if wrong else ("passed", "passed")


def _not_measured(kind: str, why: str) -> tuple[Judgement, str]:
    action = diagnosis.of_kind(kind).action
    more = "; tried on a second device, and failed where that one says the same" if action in _TWO_CARDS else ""
    return "failed" if action is Action.FAIL else "errored", f"not measured, {kind}: {why}{more}"


def rules_of(profile: Profile) -> list[str]:
    """Return the names of the profile's own rules for lines, as `LogReader` counts them."""
    lines = profile.lines
    named = [f"lines.{name}" for name in _LINE_RULES if getattr(lines, name)]
    named += [f"lines.mismatch.{name}" for name in Mismatch.model_fields if getattr(lines.mismatch, name)]
    if profile.swimlane is not None and profile.swimlane.losses:
        named.append("swimlane.losses")
    return [*named, *own_rule_names(profile.signatures)]


def facts(seen: Seen) -> Iterator[str]:
    """Yield a line for each thing that a log says."""
    yield f"pass lines: {seen.passes}" + (f"; compared nothing: {seen.unvalidated}" if seen.unvalidated else "")
    for number, program in enumerate(seen.programs, start=1):
        yield f"program {number} ({program.name}): {program.passes} pass lines, {program.outputs} outputs"
    for name, claim in seen.claims.items():
        yield f"output {name}: {'PASS' if claim.passed else 'FAIL'} {claim.shape} {claim.dtype}".rstrip()
    for mode, time in seen.times.items():
        shown = time.problem or f"median {time.median_us:g} µs, mean {time.mean_us:g} µs of {time.rounds} rounds"
        odd = f", {time.outliers} of them outliers" if time.outliers else ""
        yield f"time of mode {mode}: {shown}{odd}"
    for rank, sign in sorted(seen.signs.items()):
        yield f"signature {rank} ({sign.kind}): {sign.line}"
    if seen.losses:
        yield f"a partial recording, so no time: {seen.losses}"


def main() -> int:
    """Answer the question on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    sys.stdout.write(read(LogQuestion.model_validate_json(sys.stdin.buffer.read())).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
