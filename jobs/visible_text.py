"""Text from outside (messages, names, log lines) in a form that every report, database and terminal can hold.

A kernel's message may hold NUL, which PostgreSQL and XML refuse, half a surrogate pair, which is invalid in UTF-8,
terminal codes, or bidirectional overrides. None of it is dropped: a reader should see that it was there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

MOST_CHARACTERS = 4000  # of one message; an array printed into an exception has megabytes
_CONTROL_PICTURES = 0x2400  # U+2400 + code is the picture of a C0 control character
_DELETE = 0x7F
# Controls but tab and line feed, surrogates, bidirectional marks, invisible separators and the byte order mark.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]"
)


def visible(text: str) -> str:
    """Return `text` with its control characters made visible, at most `MOST_CHARACTERS` long.

    Tabs and line feeds stay as they are.
    """
    shown = _HIDDEN.sub(lambda found: _picture(ord(found[0])), text[: MOST_CHARACTERS + 1])
    return shown if len(text) <= MOST_CHARACTERS else shown[: MOST_CHARACTERS - 1] + "…"


def _picture(code: int) -> str:
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    return "\N{SYMBOL FOR DELETE}" if code == _DELETE else f"\\u{code:04x}"


def made_visible(value: object) -> object:
    """Return `value`, a text in visible form: a validator of a record's field, before the field's own."""
    return visible(value) if isinstance(value, str) else value


def plain_values(values: Mapping[str, object]) -> dict[str, int | float | bool | str]:
    """Return `values` by name in a form that JSON can hold: a knob may be NaN, a tuple or half a surrogate pair."""
    return {visible(str(key)): _plain(value) for key, value in values.items()}


def _plain(value: object) -> int | float | bool | str:
    if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return visible(str(value))
