"""Unexpected errors: kept whole in a file, and reported in one line."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path

from farm import paths
from farm.text import one_line
from farm.timestamps import now


def kept(error: BaseException, directory: Path | None = None) -> str:
    """Write the traceback of `error` to a file in `directory`, and return one line with what it is and that file.

    The default is `$FARM_HOME/logs`, and the directory of temporary files where that cannot be written.
    """
    what = f"unexpected {type(error).__name__}: {described(error)}".rstrip(": ")
    name = f"error-{now().replace(':', '').partition('.')[0]}-{os.getpid()}.log"
    for place in (directory or paths.home() / "logs", Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(_trace(error), encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"{what}; this is a bug of the farm, please report it with {place / name}"
    return f"{what}; this is a bug of the farm, and no log of it could be written"


def described(error: BaseException) -> str:
    """Return the message of `error` on one line, even where its `__str__` raises."""
    try:
        return one_line(str(error))
    except Exception as broken:  # noqa: BLE001 - the message is foreign code
        return f"(its message raises {type(broken).__name__})"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - formatting calls foreign code as well
        return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
