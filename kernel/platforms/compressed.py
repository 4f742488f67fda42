"""Text files that are kept compressed: what a trial leaves is mostly numbers in JSON, and takes a tenth of the room."""

from __future__ import annotations

import gzip
from pathlib import Path

SUFFIX = ".gz"


def packed(text: str) -> bytes:
    """`text` as a gzip file; the same text gives the same bytes, whenever it is written."""
    return gzip.compress(text.encode(), mtime=0)


def unpacked(content: bytes) -> str:
    """The text of a gzip file. Raises `OSError` or `EOFError` for one that is none."""
    return gzip.decompress(content).decode()


def compress(path: Path) -> Path:
    """Replace the file `path` by a compressed one beside it, and return that."""
    found = path.with_name(path.name + SUFFIX)
    found.write_bytes(packed(path.read_text()))
    path.unlink()
    return found
