"""Reads what a harness prints, line by line as it comes: which outputs passed, how long it took, what went wrong.

Knows the profile's patterns and no harness. Whatever the size of the output, it keeps a bounded amount of it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace

from kernel.harness.profile import Lines, Profile
from kernel.platforms.protocol import Claim, ModeTime

_LINE_BYTES = 4 << 10  # what is beyond it in one line is not read
_MOST_CLAIMS, _MOST_TIMES = 1000, 100  # no harness has so many; a hostile one must not fill the memory
_DETAIL_LINES = 12
_KEPT_CHARACTERS = 240
_QUOTED = re.compile(r"['\"]([^'\"]+)['\"]")


@dataclass(slots=True)
class Seen:
    """What the output says."""

    passes: int = 0  # pass lines that validated something
    unvalidated: str = ""  # the first pass line that did not
    claims: dict[str, Claim] = field(default_factory=dict)  # by output, in a further mode by "mode/output"
    times: dict[str, ModeTime] = field(default_factory=dict)  # by mode
    signs: dict[int, str] = field(default_factory=dict)  # number of the signature → the first line that has it
    codes: dict[int, str] = field(default_factory=dict)  # number of the signature → the code in that line
    last: str = ""  # the last line that is not blank


class Reader:
    """Takes bytes in pieces of any size; `close` returns what was seen."""

    def __init__(self, profile: Profile) -> None:
        self._lines = profile.lines
        # One by one: many are anchored or begin with plain text, which `re` finds at once, but not in an alternation.
        self._signs = [(number, re.compile(t)) for number, each in enumerate(profile.signatures) for t in each.lines]
        self._telling = [re.compile(text) for text in _telling(profile.lines)]
        self._mismatch = _Mismatch(profile.lines)
        self._rest = b""  # of a line whose end has not come
        self._overlong = False
        self._mode = "1"
        self._modes = 0
        self._seen = Seen()

    def feed(self, data: bytes) -> None:
        """Read on."""
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            for line in (self._rest + whole).split(b"\n"):
                self._take(line)
            self._rest, self._overlong = b"", False
        if not self._overlong:
            self._rest += rest
            if len(self._rest) > _LINE_BYTES:
                self._rest, self._overlong = self._rest[:_LINE_BYTES], True

    def close(self) -> Seen:
        """Read what has no end of line, and tell."""
        self._take(self._rest)
        self._rest = b""
        return self._seen

    def _take(self, raw: bytes) -> None:
        line = raw[:_LINE_BYTES].decode(errors="replace").rstrip("\r")
        if not line.strip():
            return
        self._seen.last = line[:_KEPT_CHARACTERS]
        if self._mismatch.open:
            self._mismatch.take(line, self._seen.claims)
        if any(pattern.search(line) for pattern in self._telling):
            self._sort(line)
        for number, pattern in self._signs:
            if number not in self._seen.signs and (found := pattern.search(line)):
                self._sign(number, line, found)

    def _sort(self, line: str) -> None:
        lines, seen = self._lines, self._seen
        if lines.mode and (began := re.search(lines.mode, line)):
            self._begin_mode(began)
        elif found := re.search(lines.output, line):
            self._mismatch.open = False
            self._claim(found)
        elif re.search(lines.passed, line):
            if lines.unvalidated and re.search(lines.unvalidated, line):
                seen.unvalidated = seen.unvalidated or line.strip()[:_KEPT_CHARACTERS]
            else:
                seen.passes += 1
        elif lines.time and (found := re.search(lines.time, line)):
            self._time(found)
        elif lines.mismatch.begin and (found := re.search(lines.mismatch.begin, line)):
            self._mismatch.open = True
            self._mismatch.prefix = self._prefix()
            for name in _QUOTED.findall(found["names"]):
                self._add(self._prefix() + name, Claim(passed=False))

    def _time(self, found: re.Match[str]) -> None:
        numbers = [_number(found[name]) for name in ("min", "median", "mean", "max")]
        known = [number for number in numbers if number is not None]
        if len(known) == len(numbers) and len(self._seen.times) < _MOST_TIMES:
            self._seen.times[self._mode] = ModeTime(int(found["rounds"][:9]), *known)

    def _begin_mode(self, began: re.Match[str]) -> None:
        self._modes += 1
        named = began.groupdict().get("mode")
        self._mode = named[:_KEPT_CHARACTERS] if named else str(self._modes)

    def _prefix(self) -> str:
        """Outputs of the first program go by their name alone."""
        return f"{self._mode}/" if self._modes > 1 else ""

    def _claim(self, found: re.Match[str]) -> None:
        said = found.groupdict()
        claim = Claim(
            passed=said["verdict"] == "PASS",
            shape=said.get("shape") or "",
            dtype=(said.get("dtype") or "").removeprefix("torch."),
            how=(said.get("how") or "")[:_KEPT_CHARACTERS],
        )
        self._add(self._prefix() + said["name"], claim)

    def _add(self, name: str, claim: Claim) -> None:
        """One FAIL of an output stands, whatever else is said of it."""
        before = self._seen.claims.get(name)
        if before is None and len(self._seen.claims) >= _MOST_CLAIMS:
            return
        if before is None or before.passed:
            self._seen.claims[name] = claim

    def _sign(self, number: int, line: str, found: re.Match[str]) -> None:
        self._seen.signs[number] = line.strip()[:_KEPT_CHARACTERS]
        if code := found.groupdict().get("code"):
            self._seen.codes[number] = code


class _Mismatch:
    """The lines that tell what is wrong with an output."""

    def __init__(self, lines: Lines) -> None:
        self._patterns = lines.mismatch
        self._about = ""
        self._told = 0
        self.open = False
        self.prefix = ""

    def take(self, line: str, claims: dict[str, Claim]) -> None:
        """Add what `line` says to the claim it is about."""
        patterns = self._patterns
        if patterns.output and (found := re.search(patterns.output, line)):
            self._about, self._told = self.prefix + found["name"], 0
            return
        claim = claims.get(self._about)
        if claim is None or claim.passed:
            return
        if self._told < _DETAIL_LINES:
            self._told += 1
            claim = replace(claim, detail=f"{claim.detail}\n{line.strip()[:_KEPT_CHARACTERS]}".strip())
        if patterns.count and claim.wrong is None and (found := re.search(patterns.count, line)):
            claim = replace(claim, wrong=int(found["wrong"][:18]), total=int(found["total"][:18]))
        if patterns.largest and claim.max_abs_err is None and (found := re.search(patterns.largest, line)):
            claim = replace(claim, max_abs_err=_number(found["error"]))
        if patterns.first and not claim.first and (found := re.search(patterns.first, line)):
            claim = replace(claim, first=f"[{found['index']}] {found['actual']} for {found['expected']}")
        claims[self._about] = claim


def _telling(lines: Lines) -> list[str]:
    """Every pattern that says something of outputs, times or the end."""
    return [text for text in (lines.passed, lines.output, lines.mode, lines.time, lines.mismatch.begin) if text]


def _number(text: str) -> float | None:
    """None for what is no finite number."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
