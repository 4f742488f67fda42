"""Text from outside (branch names, tuning values, log lines) made harmless before it is shown."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.records import OutputRecord

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, bidirectional override, surrogate, …
_KEPT = 400  # characters of one message; a compiler can print megabytes on one line


def one_line(text: str, limit: int = _KEPT) -> str:
    """Return `text` on one line of at most `limit` characters: white space runs become one blank, see `visible`."""
    shown = visible(" ".join(text[: 4 * limit].split()))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def visible(text: str) -> str:
    """Return `text` with every character that a terminal obeys or hides as its escape, such as `\\x1b`."""
    hidden = {char for char in set(text) if unicodedata.category(char) in _HIDDEN}
    return "".join(char.encode("unicode_escape").decode("ascii") if char in hidden else char for char in text)


def slug(text: str) -> str:
    """`text` as one harmless part of a file name: letters, digits, `.`, `_` and `-`, never hidden, never `..`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip(".-")[:100] or "unnamed"


def slugs(names: Iterable[str]) -> dict[str, str]:
    """Return the `slug` of each name; those that would share one, in any letter case, end with a digest."""
    plain = {name: slug(name) for name in names}
    times = Counter(each.lower() for each in plain.values())
    return {
        name: f"{each}-{hashlib.sha256(name.encode()).hexdigest()[:12]}" if times[each.lower()] > 1 else each
        for name, each in plain.items()
    }


def counting_order(name: str) -> tuple[str, int, str]:
    """A sort key under which AIC_2 and node/2 stand before AIC_10 and node/10."""
    head = name.rstrip("0123456789")
    digits = name[len(head) :]
    return head, int(digits) if 0 < len(digits) < 10 else 0, name


def microseconds(value: float | None) -> str:
    """A time in µs with as many digits as a person compares; "–" where there is none."""
    return "–" if value is None else f"{value:,.2f}"


def share(value: float) -> str:
    """A share as a percentage that keeps small values apart from zero."""
    return f"{100 * value:.3g} %"


def signed_share(value: float) -> str:
    """A relative difference as a percentage with its sign."""
    return f"{round(100 * value, 1) + 0.0:+.1f} %"  # + 0.0, or nothing at all would read -0.0


def scientific(value: float | None) -> str:
    """An error bound; "–" where NaN or Inf made it meaningless."""
    return "–" if value is None else f"{value:.3g}"


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `11th`: a place in a queue."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def counted(number: int, noun: str) -> str:
    """Return `1 device`, `3 devices`: a number with its noun in the right form."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def outliers(share: float, allowed: float, total: int) -> str:
    """Return how many of `total` elements are out of their tolerance, and how many may be; both shares as 0 to 1.

    A rounded share hides one element of many, and a number does not. The share stands beside it from 0.1 % on.
    """
    wrong = round(share * total)
    told = f" ({share:.1%})" if share >= 0.001 else ""
    are = "is an outlier" if wrong == 1 else "are outliers"
    return f"{wrong:,} of {total:,} elements{told} {are}, {int(allowed * total + 1e-6):,} allowed"


def outlier_count(output: OutputRecord) -> str:
    """Return how many elements of one output of a trial are out of their tolerance: `1 of 8,192`."""
    total = math.prod(output.shape)
    return f"{round(output.tolerance.outlier_share * total):,} of {total:,}"


def allowed_outliers(output: OutputRecord) -> int:
    """Return how many elements of one output may be out of their tolerance."""
    return int(output.tolerance.allowed_outlier_share * math.prod(output.shape) + 1e-6)


def outliers_of(output: OutputRecord) -> str:
    """Return how many elements of one output of a trial are out of their tolerance."""
    found = output.tolerance
    return outliers(found.outlier_share, found.allowed_outlier_share, math.prod(output.shape))
