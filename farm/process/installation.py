"""Which installation's code this process runs, and how to start other processes on the same one.

The packages below have short names that a directory of somebody else may have too. Python takes the first it finds, and
looks in the current directory first for `python -m`. Code that judges must be the installation's in every process.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from farm.errors import UsageError

PACKAGES = ("kernel", "jobs", "farm", "ci")
DISTRIBUTION = "npu-kernel-farm"

# `python -m` and `python -c` put the current directory first on the path; Python 3.10 has no option against it.
_START = (
    "import sys; sys.path[:] = [entry for entry in sys.path if entry]; import runpy; "
    "sys.argv[:] = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_OWNED = re.compile(rf"^(?:{'|'.join(PACKAGES)})(?:/|\.py,|$)", re.MULTILINE)


class InstallationError(UsageError):
    """The code of two installations would work together, or that of somebody else in place of ours."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The code of one process."""

    root: str  # directory that holds the packages
    digest: str  # SHA-256 over the paths and contents of their modules
    strays: tuple[str, ...] = ()  # modules of these names that were loaded from elsewhere, each with its file


def root() -> Path:
    """Return the directory that holds the packages of this installation."""
    return Path(__file__).resolve().parents[2]


def current() -> Installation:
    """Return the code of this process. The digest is that of its first call: later edits are not what runs here."""
    return Installation(str(root()), _digest(), tuple(_strays()))


def require_one() -> None:
    """Raise `InstallationError` unless all packages are found in one installation that nothing else has written to."""
    for package in PACKAGES:
        place = _place(package)
        if place != root() / package:
            raise InstallationError(
                f"Python finds the package '{package}' in {place or 'no directory'}, and the farm in {root()}; "
                f"take that directory off Python's path (PYTHONPATH, or the current one), or rename the package"
            )
    for owner in _other_owners():
        raise InstallationError(
            f"the distribution '{owner}' also installs a package named {', '.join(PACKAGES[:-1])} or {PACKAGES[-1]}, "
            f"which the farm needs for itself; use an environment without it, or pip uninstall {owner}"
        )


def require_same(there: object, where: str) -> None:
    """Raise `InstallationError` unless `there`, the report of a process at `where`, is this process's code."""
    here = current()
    if not isinstance(there, Installation):
        raise InstallationError(f"{where} runs another release of the farm; install the one in {here.root} there")
    if there.strays:
        raise InstallationError(f"{where} loads {there.strays[0]}, which is not of the installation in {here.root}")
    if there.root != here.root:
        raise InstallationError(
            f"{where} runs the farm in {there.root}, this process the one in {here.root}; use the same on every node"
        )
    if there.digest != here.digest:
        raise InstallationError(
            f"the code in {here.root} differs between {where} and this process; install the same on every node, and "
            "start again where it has just been edited"
        )


def require_not_in(directories: Iterable[str]) -> None:
    """Raise `InstallationError` for a directory on the path of Ray's workers that has a package of these names."""
    for directory in map(Path, directories):
        found = [name for name in PACKAGES if (directory / name).is_dir() or (directory / f"{name}.py").is_file()]
        if found and directory.resolve() != root():
            raise InstallationError(
                f"Ray was started in {directory}, where its workers would find '{found[0]}' instead of the farm's; "
                "call ray.shutdown() and let the farm start it, or start it in another directory"
            )


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command of `python -m module`, without the current directory on its path."""
    return [sys.executable, "-c", _START, module, *arguments]


def pin() -> None:
    """Import the packages, so that a path that changes later cannot give their names to somebody else."""
    for package in PACKAGES:
        importlib.import_module(package)


def absolute_python_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return PYTHONPATH with absolute entries, for a process in another directory; empty where none is set."""
    entries = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in entries)} if entries else {}


def _place(package: str) -> Path | None:
    """The directory of a top-level package as this process finds it; None for none, and for one without a file."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin:
        return Path(spec.origin).resolve().parent
    directories = list(spec.submodule_search_locations or ())  # a package without __init__.py
    return Path(directories[0]).resolve() if directories else None


@functools.cache
def _digest() -> str:
    found = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((root() / package).rglob("*.py")):
            found.update(f"{file.relative_to(root())}\0".encode())
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _strays() -> list[str]:
    here, found = root(), []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in PACKAGES and file and not Path(file).resolve().is_relative_to(here):
            found.append(f"{name} from {file}")
    return found


def _other_owners() -> list[str]:
    """Names of other distributions that list files below one of the packages, or the package itself."""
    return sorted({_name(each) for each in distributions() if _owns(each)} - {DISTRIBUTION})


def _owns(distribution: Distribution) -> bool:
    listed = distribution.read_text("top_level.txt") or distribution.read_text("RECORD") or ""
    return _OWNED.search(listed) is not None


def _name(distribution: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
