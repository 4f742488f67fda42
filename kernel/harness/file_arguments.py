"""Which optional arguments a file takes, and with how many values: read from what it prints for `--help`. Pure.

The same option is a switch in one file, takes a value in the next and is absent from a third. A search of the source
finds the name in a comment and misses it in an imported parser, so the file itself is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kernel.harness.profile_sections import Flag

_CHOICES = re.compile(r"\{([^{}]*)\}")
_HEADING = re.compile(r"^\S.*:\s*$")


def arguments(text: str, flags: Sequence[Flag]) -> list[str]:
    """Return the words that `flags` add to the call of a file whose help is `text`.

    An option that the file does not show, or that needs a value and accepts none of the flag's, adds nothing.
    """
    return [word for flag in flags for word in _words(text, flag)]


def _words(text: str, flag: Flag) -> list[str]:
    rest = _after(text, flag.option)
    if rest is None:
        return []
    takes_value, needs_value = _arity(rest)
    if not takes_value:
        return [flag.option]
    value = _acceptable(rest, flag.values)
    if value is None:
        return [] if needs_value or flag.values else [flag.option]
    return [flag.option, value]


def _after(text: str, option: str) -> str | None:
    """What stands behind `option` in the usage, else in the list of options; None where it is in neither."""
    usage, _, lists = text.partition("\n\n")
    name = rf"(?<![\w-]){re.escape(option)}(?![\w-])"
    if found := re.search(rf"{name}(.*)", " ".join(usage.split())):
        return found[1]
    for line in lists.splitlines() or text.splitlines():
        listed = re.match(rf"\s+(?:-\w(?: \S+)?, )?{name}(.*)", line)
        if listed and not _HEADING.match(line):
            # Two spaces begin the description.
            return re.split(r"\s{2,}", listed[1], maxsplit=1)[0].replace("=", " ", 1) + "]"
    return None


def _arity(rest: str) -> tuple[bool, bool]:
    """Whether the option takes a value, and whether it needs one, by what stands behind it."""
    behind = rest.lstrip()
    if not behind or behind[0] in "]|)-/" or behind.startswith(("[-", "...")):
        return False, False
    return True, not behind.startswith("[")


def _acceptable(rest: str, values: Sequence[str]) -> str | None:
    """The first of `values` that is among the choices shown, or the first of all where none are."""
    until = rest.lstrip()
    shown = _CHOICES.match(until.lstrip("["))
    if shown is None:
        return values[0] if values else None
    choices = {each.strip() for each in shown[1].split(",")}
    return next((each for each in values if each in choices), None)
