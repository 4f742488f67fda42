"""The first line of a command that takes long: what it does, printed after a second.

It goes to stderr, with `--json` as well: stdout is the answer's. A command that ends sooner prints no such line, so
that a mistake in its arguments is one line as ever.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import click

from farm.errors import UsageError
from farm.text import one_line

Command = TypeVar("Command", bound=Callable[..., Any])

VARIABLE = "FARM_FIRST_LINE_AFTER"
AFTER_S = 1.0  # with the second that Python may take to start, a person sees a line within two

_MOST_S = 3600.0

_waiting: list[threading.Timer] = []


def announced(doing: str, **instead: str) -> Callable[[Command], Command]:
    """Have a command say what it does; it is arranged as soon as its arguments are read, before anything is loaded.

    Args:
        doing: In a few words, with the command's own parameters in braces; a list is joined by spaces.
        instead: Parameter → what is printed in place of `doing` where that parameter is given; the first that is given
            counts. "" for nothing, where the command then only prints a text.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def first_says(*arguments: Any, **values: Any) -> Any:
            given = [said for name, said in instead.items() if values.get(name)]
            said = (given[0] if given else doing).format_map(_words(values))
            seconds = after_s()
            if said and seconds:
                timer = threading.Timer(seconds, click.echo, (f"farm: {one_line(said).rstrip(' :')}",), {"err": True})
                timer.daemon = True
                _waiting.append(timer)
                timer.start()
            try:
                return first_says.__wrapped__(*arguments, **values)
            finally:
                no_longer_needed()

        first_says.announces = doing  # type: ignore[attr-defined]
        return first_says  # type: ignore[return-value]

    return decorate


def no_longer_needed() -> None:
    """Say nothing where nothing was printed yet: the command has ended, or draws its progress."""
    while _waiting:
        _waiting.pop().cancel()


def after_s() -> float:
    """Seconds after which a command that goes on says what it does; 0 for never. Raises `UsageError`."""
    text = os.environ.get(VARIABLE, f"{AFTER_S:g}")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_S:
        raise UsageError(f"{VARIABLE} is '{text}'; use a number of seconds from 0 to {_MOST_S:g}, 0 for no line at all")
    return seconds


def _words(values: dict[str, Any]) -> dict[str, str]:
    return {
        name: " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")
        for name, value in values.items()
    }
