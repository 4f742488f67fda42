"""Where the files of one confined process are, on this machine and as that process sees them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobs.sandbox import bubblewrap

INSIDE = Path("/run/farm")
WORK, CACHE = Path("/tmp/run"), Path("/tmp/cache")  # inside: the platform's directories, in memory


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """The files of one confined process."""

    scratch: Path  # of this machine, for this process alone
    isolated: bool

    def outer(self, name: str) -> Path:
        """A file on this machine."""
        return self.scratch / name

    def inner(self, name: str) -> Path:
        """The same file as the process sees it."""
        return INSIDE / name if self.isolated else self.scratch / name

    def share(self, read: tuple[str, ...], write: tuple[str, ...]) -> None:
        """Make the files it writes, and let it use them and those it reads: it may have another user's id."""
        for name in write:
            self.outer(name).touch()
        for name, mode in {**dict.fromkeys(read, 0o644), **dict.fromkeys(write, 0o666)}.items():
            self.outer(name).chmod(mode)


@contextlib.contextmanager
def scratch() -> Iterator[SandboxPaths]:
    """Files for one confined process, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="farm-confined-") as directory:
        yield SandboxPaths(Path(directory), bubblewrap.isolation().bubblewrap)


def installation() -> Path:
    """The directory that holds the installed packages `jobs` and `kernel`."""
    return Path(__file__).resolve().parents[2]


def trusted_packages(*modules: str) -> dict[Path, Path]:
    """The farm's own packages, and those of `modules`, as a confined process sees them → where they are."""
    packages = {"jobs", "kernel", *(module.partition(".")[0] for module in modules)}
    return {bubblewrap.TRUSTED / name: installation() / name for name in sorted(packages)}


def keep(log: Path, sources: tuple[Path, ...], most: int) -> None:
    """Append to `log` what the process printed and logged, up to `most` bytes of each."""
    with log.open("ab") as target:
        for source in sources:
            if source.exists():
                with source.open("rb") as opened:
                    target.write(opened.read(most))
