"""Reads what a harness prints, line by line as it comes: which outputs passed, how long it took, what went wrong.

Knows the profile's patterns and no harness. Whatever the size of the output, it keeps a bounded amount of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from kernel.harness.mismatch_lines import KEPT_CHARACTERS, MismatchLines, finite
from kernel.harness.profile import Lines, Profile
from kernel.harness.profile_results import UNITS
from kernel.harness.signatures import ranked, rule_names
from kernel.platforms.protocol import Claim, ModeTime

_LINE_BYTES = 4 << 10  # what is beyond it in one line is not read
_MOST_CLAIMS, _MOST_TIMES = 1000, 100  # no harness has so many; a hostile one must not fill the memory
_MOST_PROGRAMS = 1000
_MOST_SAMPLES = 100_000
_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
_REFUSAL = re.compile(
    r"\S+\.py: error: "
    r"|\S+: error: (?:argument |unrecognized arguments|the following arguments|one of the arguments|ambiguous option)"
    r"|Error: (?:No such option|Invalid value for|Missing option|Got unexpected extra)"
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_STAMP = re.compile(
    r"^\[?(?:\d{4}[-/]\d{2}[-/]\d{2}[T ])?\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?(?:\](?: |(?=\S))| )"
)
_NUMBERS = re.compile(r"[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)", re.IGNORECASE)
_QUOTED = re.compile(r"['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class Sign:
    """A signature that was seen."""

    kind: str  # of the farm's table of faults, or "device"
    line: str  # the first that has it
    code: str = ""  # the runtime's error code in that line


@dataclass(slots=True)
class ProgramSeen:
    """What one of a file's programs has printed. Each needs a pass of its own."""

    name: str  # its mode
    passes: int = 0  # pass lines that validated something
    outputs: int = 0  # that were compared


@dataclass(slots=True)
class Seen:
    """What the output says."""

    programs: list[ProgramSeen] = field(default_factory=list)  # in their order
    unvalidated: str = ""  # the first pass line that validated nothing
    claims: dict[str, Claim] = field(default_factory=dict)  # by output, in a further mode by "mode/output"
    times: dict[str, ModeTime] = field(default_factory=dict)  # by mode
    signs: dict[int, Sign] = field(default_factory=dict)  # by rank: the smallest goes before all others
    exception: str = ""  # the line that ends the last Python traceback
    refusal: str = ""  # the last line in which an argument parser refuses what it was given
    losses: str = ""  # the first line in which the collector of swim lanes counts what it lost
    missing: str = ""  # why the file that has the verdict cannot be read
    last: str = ""  # the last line that is not blank

    @property
    def passes(self) -> int:
        """Pass lines that validated something."""
        return sum(each.passes for each in self.programs)


class Reader:
    """Takes bytes in pieces of any size; `close` returns what was seen.

    Lines end at a line feed or at a carriage return, behind which a progress bar begins again. Colours and a time stamp
    in front are taken off before a line is held to the profile's patterns.
    """

    def __init__(self, profile: Profile, matched: Callable[[str], None] = lambda rule: None) -> None:
        """`matched` is called with each rule that `line` is taken for: a key of the profile, or the farm's own."""
        self._matched = matched
        self.line = ""  # that is being read, without colours and time stamp
        self._lines = profile.lines
        self._losses = re.compile(profile.swimlane.losses) if profile.swimlane and profile.swimlane.losses else None
        # One by one: many are anchored or begin with plain text, which `re` finds at once, but not in an alternation.
        self._signatures = ranked(profile.signatures)
        self._rules = rule_names(profile.signatures)
        self._signs = [(rank, re.compile(t)) for rank, each in enumerate(self._signatures) for t in each.lines]
        self._also = {rank: re.compile(each.also) for rank, each in enumerate(self._signatures) if each.also}
        self._also_seen: set[int] = set()
        self._telling = [re.compile(text) for text in _telling(profile.lines)]
        self._mismatch = MismatchLines(profile.lines.mismatch, matched)
        self._rest = b""  # of a line whose end has not come
        self._overlong = False
        self._samples: dict[str, list[float]] = {}  # by mode, where every line has one
        self._next_mode = ""  # name of the program that begins next
        self._begun = False  # a program has said that it begins
        self._in_traceback = False
        self._seen = Seen()

    def feed(self, data: bytes) -> None:
        """Read on."""
        whole, newline, rest = data.replace(b"\r", b"\n").rpartition(b"\n")
        if newline:
            for line in (self._rest + whole).split(b"\n"):
                self._take(line)
            self._rest, self._overlong = b"", False
        if not self._overlong:
            self._rest += rest
            if len(self._rest) > _LINE_BYTES:
                self._rest, self._overlong = self._rest[:_LINE_BYTES], True

    def close(self) -> Seen:
        """Read what has no end of line, and return all that was seen."""
        self._take(self._rest)
        self._rest = b""
        for mode, samples in list(self._samples.items())[:_MOST_TIMES]:
            if samples:
                self._seen.times[mode] = ModeTime.of(samples)
        for rank in self._also.keys() - self._also_seen:
            self._seen.signs.pop(rank, None)
        return self._seen

    def _take(self, raw: bytes) -> None:
        line = plain(raw[:_LINE_BYTES].decode(errors="replace"))
        if not line.strip():
            return
        self.line = line
        self._seen.last = line[:KEPT_CHARACTERS]
        if self._mismatch.open:
            self._mismatch.take(line, self._seen.claims)
        if any(pattern.search(line) for pattern in self._telling):
            self._sort(line)
        self._trace(line)
        self._sign(line)
        if _REFUSAL.match(line):
            self._seen.refusal = line.strip()[:KEPT_CHARACTERS]
            self._matched("refused argument")
        if self._losses is not None and not self._seen.losses and self._losses.search(line):
            self._seen.losses = line.strip()[:KEPT_CHARACTERS]
            self._matched("swimlane.losses")

    def _sign(self, line: str) -> None:
        """Note the signatures that are seen for the first time."""
        for rank, pattern in self._signs:
            if rank not in self._seen.signs and (found := pattern.search(line)):
                code = found.groupdict().get("code") or ""
                self._seen.signs[rank] = Sign(self._signatures[rank].kind, line.strip()[:KEPT_CHARACTERS], code)
                self._matched(self._rules[rank])
        for rank, pattern in self._also.items():
            if rank not in self._also_seen and pattern.search(line):
                self._also_seen.add(rank)
                self._matched(f"{self._rules[rank]}, also")

    def _trace(self, line: str) -> None:
        """Note the exception at the end of a traceback: the first line after it that is not indented."""
        if line.startswith(_TRACEBACK):
            self._in_traceback = True
        elif self._in_traceback and not line[0].isspace():
            self._in_traceback = False
            if _EXCEPTION.match(line):
                self._seen.exception = line.strip()[:KEPT_CHARACTERS]
                self._matched("end of a traceback")

    @property
    def _program(self) -> ProgramSeen:
        """The program under way; what is printed before any has begun is the first one's."""
        if not self._seen.programs:
            self._seen.programs.append(ProgramSeen("1"))
        return self._seen.programs[-1]

    def _sort(self, line: str) -> None:
        """Take the line for the first rule that it fits."""
        lines = self._lines
        if lines.mode_name and (named := re.search(lines.mode_name, line)):
            self._matched("lines.mode_name")
            self._next_mode = named["mode"] or ""
        elif lines.mode and (began := re.search(lines.mode, line)):
            self._matched("lines.mode")
            self._begin_mode(began)
        elif lines.output and (found := re.search(lines.output, line)):
            self._matched("lines.output")
            self._mismatch.open = False
            self._claim(found)
        elif lines.passed and re.search(lines.passed, line):
            self._pass(line)
        elif lines.time and (found := re.search(lines.time, line)):
            self._matched("lines.time")
            self._time(found)
        elif lines.mismatch.begin and (found := re.search(lines.mismatch.begin, line)):
            self._matched("lines.mismatch.begin")
            self._mismatch.open = True
            self._mismatch.prefix = self._prefix()
            for name in _QUOTED.findall(found["names"] or ""):
                self._add(self._prefix() + name, Claim(passed=False))

    def _pass(self, line: str) -> None:
        if self._lines.unvalidated and re.search(self._lines.unvalidated, line):
            self._matched("lines.unvalidated")
            self._seen.unvalidated = self._seen.unvalidated or line.strip()[:KEPT_CHARACTERS]
        else:
            self._matched("lines.passed")
            self._program.passes += 1

    def _time(self, found: re.Match[str]) -> None:
        """Samples are collected. A statistic is taken as printed, and stands for those that are not printed."""
        told = found.groupdict()
        listed = told.get("samples") or told.get("us")
        if listed is not None:
            samples = self._samples.setdefault(self._program.name, [])
            numbers = (self._us(text) for text in _NUMBERS.findall(listed))
            samples += [us for us in numbers if us is not None][: _MOST_SAMPLES - len(samples)]
        elif told.get(self._lines.statistic) and len(self._seen.times) < _MOST_TIMES:
            stated = told[self._lines.statistic]
            spread = [self._us(told.get(name) or stated) for name in ("min", "median", "mean", "max")]
            known = [us for us in spread if us is not None]
            rounds = told.get("rounds") or str(self._lines.rounds)
            if len(known) == len(spread) and rounds.isdecimal():
                least, middle, mean, most = known
                self._seen.times[self._program.name] = ModeTime(int(rounds[:9]), least, middle, mean, most)

    def _us(self, text: str) -> float | None:
        number = finite(text)
        return None if number is None else number * UNITS[self._lines.unit]

    def _begin_mode(self, began: re.Match[str]) -> None:
        """A program begins. What was printed before the first has begun is the first one's."""
        first = not self._begun and bool(self._seen.programs)
        number = len(self._seen.programs) + (0 if first else 1)
        name = (began.groupdict().get("mode") or self._next_mode)[:KEPT_CHARACTERS] or str(number)
        if any(each.name == name for each in self._seen.programs):
            name = f"{name} {number}"
        self._next_mode, self._begun = "", True
        if first:
            self._seen.programs[0].name = name
        elif len(self._seen.programs) < _MOST_PROGRAMS:
            self._seen.programs.append(ProgramSeen(name))
        else:  # one that is not followed must not pass unseen
            self._seen.unvalidated = self._seen.unvalidated or f"more than {_MOST_PROGRAMS} programs were begun"

    def _prefix(self) -> str:
        """Outputs of the first program go by their name alone."""
        return f"{self._program.name}/" if len(self._seen.programs) > 1 else ""

    def _claim(self, found: re.Match[str]) -> None:
        said = found.groupdict()
        claim = Claim(
            passed=re.search(self._lines.passing, said["verdict"] or "") is not None,
            shape=said.get("shape") or "",
            dtype=(said.get("dtype") or "").removeprefix("torch."),
            how=(said.get("how") or "")[:KEPT_CHARACTERS],
        )
        self._program.outputs += 1
        self._add(self._prefix() + (said["name"] or ""), claim)

    def _add(self, name: str, claim: Claim) -> None:
        """One FAIL of an output counts, whatever else is printed about it."""
        before = self._seen.claims.get(name)
        if before is None and len(self._seen.claims) >= _MOST_CLAIMS:
            return
        if before is None or before.passed:
            self._seen.claims[name] = claim


def _telling(lines: Lines) -> list[str]:
    """Every pattern that says something of outputs, times or the end."""
    texts = (lines.passed, lines.output, lines.mode, lines.mode_name, lines.time, lines.mismatch.begin)
    return [text for text in texts if text]


def plain(line: str) -> str:
    """Return `line` without colours, and without the time stamp that a log's keeper puts in front of it."""
    return _STAMP.sub("", _ESCAPES.sub("", line), count=1)
