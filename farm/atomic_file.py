"""Writes a file so that no reader ever sees half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from farm.errors import InfrastructureError


class ReportWriteError(InfrastructureError):
    """A report could not be written."""

    def __init__(self, path: Path, cause: OSError) -> None:
        self.path = path
        super().__init__(f"report {path} could not be written: {cause.strerror or cause}")


def write_whole(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Write `path` so that no reader ever sees half of it, making its directory. Raises `ReportWriteError`.

    `content` may come in pieces, which are never held together.
    """
    pieces = [content] if isinstance(content, (str, bytes)) else content
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        scratch = Path(name)
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
            file.flush()
            os.fsync(handle)
        scratch.chmod(0o666 & ~_umask())  # mkstemp's 0600 would keep an artifact uploader of another user out
        scratch.replace(path)
    except OSError as error:
        if scratch is not None:
            scratch.unlink(missing_ok=True)
        raise ReportWriteError(path, error) from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
