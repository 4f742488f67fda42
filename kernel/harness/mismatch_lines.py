"""Reads the lines in which a harness says what is wrong with an output."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

from kernel.harness.profile_sections import Mismatch
from kernel.platforms.protocol import Claim

KEPT_CHARACTERS = 240  # of one line
_DETAIL_LINES = 12


class MismatchLines:
    """The lines that tell what is wrong with an output."""

    def __init__(self, patterns: Mismatch, matched: Callable[[str], None]) -> None:
        """`matched` is called with the key of each rule that a line is taken for."""
        self._patterns = patterns
        self._matched = matched
        self._about = ""
        self._told = 0
        self.open = False
        self.prefix = ""

    def take(self, line: str, claims: dict[str, Claim]) -> None:
        """Add what `line` says to the claim it is about."""
        patterns = self._patterns
        if patterns.output and (found := re.search(patterns.output, line)):
            self._matched("lines.mismatch.output")
            self._about, self._told = self.prefix + (found["name"] or ""), 0
            return
        claim = claims.get(self._about)
        if claim is None or claim.passed:
            return
        if self._told < _DETAIL_LINES:
            self._told += 1
            claim = replace(claim, detail=f"{claim.detail}\n{line.strip()[:KEPT_CHARACTERS]}".strip())
        if patterns.count and claim.wrong is None and (found := re.search(patterns.count, line)):
            self._matched("lines.mismatch.count")
            claim = replace(claim, wrong=_count(found["wrong"]), total=_count(found["total"]))
        if patterns.largest and claim.max_abs_err is None and (found := re.search(patterns.largest, line)):
            self._matched("lines.mismatch.largest")
            claim = replace(claim, max_abs_err=finite(found["error"] or ""))
        if patterns.first and not claim.first and (found := re.search(patterns.first, line)):
            self._matched("lines.mismatch.first")
            claim = replace(claim, first=f"[{found['index']}] {found['actual']} for {found['expected']}")
        claims[self._about] = claim


def finite(text: str) -> float | None:
    """Return the number that `text` is; None for anything but a finite one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _count(text: str | None) -> int | None:
    """Return None where the group of a profile's pattern has caught no number."""
    return int(text[:18]) if text and text.isascii() and text.isdecimal() else None
