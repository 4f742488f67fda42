"""The key that sessions are signed with: from the configuration, or made once and kept beside the store."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from farm.errors import UsageError

NAME = "session.key"
_BYTES = 32


class SessionKeyError(UsageError):
    """The key's file cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"session key {path}: {problem}")


def load_or_make(directory: Path) -> bytes:
    """The key in `directory`, made with mode 0600 where there is none. Raises `SessionKeyError`.

    Of two processes that make it at once one wins, and both use the winner's.
    """
    path = directory / NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SessionKeyError(path, f"{error.strerror or error}; make it readable, or set [web] session_key") from error
    if mode & 0o077:
        raise SessionKeyError(path, "others may read it; `chmod 600` it, or delete it, which signs everybody out")
    if len(key) < _BYTES:
        raise SessionKeyError(path, f"has {len(key)} bytes, {_BYTES} are needed; delete it, which signs everybody out")
    return key


def _make(path: Path) -> None:
    """Whole or not at all: a link is refused where the name is taken, and never shows half a file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(secrets.token_bytes(_BYTES))
        os.link(scratch, path)
    except FileExistsError:
        return  # another process was first
    finally:
        scratch.unlink(missing_ok=True)
