"""The files of a program that is not installed here: bytes by path, named by their content, unpacked once a machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from jobs.content_address import content_address


@dataclass(frozen=True, slots=True)
class Tree:
    """A program's files. Its maker has checked that every path stays inside and is a regular file's."""

    address: str  # SHA-256 over paths and contents
    place: str  # directory or Python file of the program, from the top of the tree
    files: tuple[tuple[str, bytes], ...]  # (path from the top of the tree, contents), by path
    executable: frozenset[str] = frozenset()  # those of the files that may be run
    links: tuple[tuple[str, str], ...] = ()  # (path from the top of the tree, what the symbolic link holds), by path

    @classmethod
    def of(
        cls,
        place: str,
        files: Mapping[str, bytes],
        executable: Collection[str] = (),
        links: Mapping[str, str] | None = None,
    ) -> Tree:
        """The tree of `files` (path → contents)."""
        parts: dict[str, object] = {
            "place": place,
            "files": {path: hashlib.sha256(contents).hexdigest() for path, contents in files.items()},
        }
        if executable:
            parts["executable"] = sorted(executable)
        if links:
            parts["links"] = dict(links)
        held = tuple(sorted((links or {}).items()))
        return cls(content_address(parts), place, tuple(sorted(files.items())), frozenset(executable), held)

    def unpack(self, cache: Path) -> Path:
        """The top of the tree as read-only files below `cache`; written by the first caller."""
        top = cache / "trees" / self.address[:2] / self.address
        if top.exists():
            return top
        top.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(top.with_name(f"{top.name}.lock")):
            if not top.exists():
                self._write(top)
        return top

    def _write(self, top: Path) -> None:
        fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=top.parent))
        try:
            for path, contents in self.files:
                file = fresh / path
                file.parent.mkdir(parents=True, exist_ok=True)
                with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as opened:
                    opened.write(contents)
            for each in (fresh, *fresh.rglob("*")):
                runs = each.relative_to(fresh).as_posix() in self.executable
                each.chmod(0o755 if each.is_dir() else 0o555 if runs else 0o444)  # its reader may be another user
            for path, held in self.links:
                (fresh / path).parent.mkdir(parents=True, exist_ok=True)
                (fresh / path).symlink_to(held)
            fresh.rename(top)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
