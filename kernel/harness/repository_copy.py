"""Copies of a repository's files: for a set-up step to write to, and for the trials to run from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock

_OWN = frozenset({".git", ".hg", ".svn", "__pycache__"})  # no sources, wherever they are
_CACHE_TAG = "CACHEDIR.TAG"
# The farm's own directory of a run, which may lie in the repository and changes while files are run.
_RUNS, _LOGS = ("progress.json", "report.json", "sweep.json", "bisect.json"), "logs"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository, as they are now."""

    root: Path
    files: Mapping[str, os.stat_result]  # path below the root, with `/` → of the file or link itself
    apart: tuple[str, ...]  # directories that say of themselves that they hold no sources: environments, caches, runs

    def digest(self, path: str) -> str:
        """Return the digest of contents and mode of one file, or of where a link points."""
        full, mode = self.root / path, self.files[path].st_mode
        if stat.S_ISLNK(mode):
            return f"link {full.readlink()}"
        digest = hashlib.sha256()
        with full.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return f"{digest.hexdigest()} {'x' if mode & stat.S_IXUSR else ''}"


def listed_files(root: Path) -> Listing:
    """Return the files and links below `root`, without those of version control and of the farm's runs.

    Pipes and devices are left out as well.
    """
    files: dict[str, os.stat_result] = {}
    apart: list[str] = []
    for parent, names, found in os.walk(root):
        below = Path(parent).relative_to(root)
        links = [name for name in names if (Path(parent) / name).is_symlink()]
        marked = [name for name in names if name not in links and _is_apart(Path(parent) / name)]
        apart += [(below / name).as_posix() for name in marked]
        runs = [name for name in names if name not in links and _is_run(Path(parent) / name)]
        names[:] = sorted(set(names) - set(links) - set(marked) - set(runs) - _OWN)
        for name in (*found, *links):
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                known = (Path(parent) / name).lstat()
                if name not in _OWN and (stat.S_ISREG(known.st_mode) or stat.S_ISLNK(known.st_mode)):
                    files[(below / name).as_posix()] = known
    return Listing(root, dict(sorted(files.items())), tuple(sorted(apart)))


def _is_run(directory: Path) -> bool:
    return (directory / _LOGS).is_dir() and any((directory / name).is_file() for name in _RUNS)


def _is_apart(directory: Path) -> bool:
    """Return whether its .gitignore leaves out all that is in it, as tools do for what they make, or it is a cache."""
    if (directory / _CACHE_TAG).is_file():
        return True
    try:
        lines = (directory / ".gitignore").read_text(errors="replace").split("\n")
    except OSError:
        return False
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")] == ["*"]


def copy_files(listing: Listing, paths: Collection[str], target: Path) -> None:
    """Copy the files `paths` to below `target`, with their times, so that `make` sees which is older; all writable."""
    for path in paths:
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        copy_one(listing.root / path, place)


def copy_one(source: Path, target: Path) -> None:
    """Copy a file, link or directory with all that is below it; all writable."""
    if source.is_dir() and not source.is_symlink():
        target.mkdir(parents=True, exist_ok=True)
        for each in os.scandir(source):
            copy_one(Path(each.path), target / each.name)
        return
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(target.stat().st_mode | stat.S_IWUSR)


def view(listing: Listing, mounts: Mapping[str, Path], cache: Path) -> Path:
    """Return a copy of the repository with what set-up steps have made in its place; made by the first caller.

    The copy is of the files as they are now: its name holds size, times and inode of each. Directories that hold no
    sources are links to where they are, and so is each of `mounts` (path below the root → what was made).
    """
    parts = {
        "root": str(listing.root),
        "files": [[path, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for path, s in listing.files.items()],
        "apart": listing.apart,
        "mounts": {path: str(made) for path, made in mounts.items()},
    }
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
    top = cache / "views" / name[:2] / name
    top.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(top.with_name(f"{name}.lock")):
        if not top.exists():
            _write_view(listing, mounts, top)
        os.utime(top)  # somebody has read it
    return top


def _write_view(listing: Listing, mounts: Mapping[str, Path], top: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix=".fresh-", dir=top.parent))
    try:
        fresh.chmod(0o755)
        copy_files(listing, beside(listing.files, mounts), fresh)
        links = {path: listing.root / path for path in listing.apart if not covered(path, mounts)}
        for path, made in {**links, **mounts}.items():
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            (fresh / path).symlink_to(made)
        fresh.rename(top)
    except BaseException:
        remove(fresh)
        raise


def beside(files: Collection[str], places: Collection[str]) -> list[str]:
    """Return those of `files` that are neither at or below one of `places`, nor a link or file where a parent is due.

    Nothing is so written through a link of the repository to somewhere else.
    """
    parents = {parent.as_posix() for place in places for parent in PurePosixPath(place).parents}
    return [path for path in files if path not in parents and not covered(path, places)]


def covered(path: str, directories: Collection[str]) -> bool:
    """Return whether `path` is one of `directories`, which may be files, or below one."""
    return path in directories or any(path.startswith(f"{each}/") for each in directories)


def remove(directory: Path) -> None:
    """Delete a directory with all that is below it, also what was made unwritable; nothing where it is not there."""
    if not directory.exists():
        return
    directory.chmod(0o700)
    for parent, names, _ in os.walk(directory):
        for each in (Path(parent) / name for name in names):
            if not each.is_symlink():
                with contextlib.suppress(OSError):  # another user's; then deleting says so
                    each.chmod(0o700)
    shutil.rmtree(directory)


def regular_files(path: Path) -> Iterator[Path]:
    """Yield `path` where it is a file, or every file below it; links are none."""
    if path.is_symlink():
        return
    if path.is_file():
        yield path
    for parent, _, names in os.walk(path):
        for name in names:
            if (each := Path(parent) / name).is_file() and not each.is_symlink():
                yield each
