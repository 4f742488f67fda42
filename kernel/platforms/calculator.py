"""PyPTO's host calculator: a C++ library that executes a compiled graph with libtorch and so gives the numbers.

The package brings its sources and builds them, about 20 s, in every process that wants numbers. Here it is built once
per (PyPTO, torch, Python) into a cache that all workers of a machine share. A second cache, of the user's own, keeps it
for every other `$FARM_HOME` of the same machine.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from platform import libc_ver, machine

import platformdirs
from filelock import FileLock

from kernel.errors import PlatformUnavailableError
from kernel.platforms import pypto_private

DIRECTORY = "calculator"  # below the cache
SHARED = "FARM_SHARED_CACHE"  # environment variable with the user's own cache; empty for none
_BUILD_TIMEOUT_S = 900
_loaded: set[Path] = set()


def library_path(cache: Path) -> Path:
    """Where the library for the installed PyPTO, torch and Python belongs."""
    torch_version = pypto_private.calculator_definitions()["PY3_MOD_TORCH_VERSION"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = f"pypto-{pypto_private.installed_version()}-torch-{torch_version}-python-{python}"
    return cache / DIRECTORY / key / pypto_private.CALCULATOR_LIBRARY


def shared_path(cache: Path) -> Path | None:
    """Where the user keeps the library of `library_path(cache)` for all caches of this machine; None for nowhere."""
    named = os.environ.get(SHARED, platformdirs.user_cache_dir("farm"))
    if not named:
        return None
    library = library_path(cache)
    system = "-".join((machine(), *libc_ver()))  # a home directory may serve several machines
    return Path(named).expanduser() / DIRECTORY / f"{library.parent.name}-{system}" / library.name


def is_at_hand(cache: Path) -> bool:
    """Return whether the library is in `cache`, or can be copied into it."""
    shared = shared_path(cache)
    return library_path(cache).exists() or (shared is not None and _is_own(shared))


def ensure_built(cache: Path, platform: str) -> Path:
    """The library, copied or built if it is not there yet. Safe to call from many processes at once.

    Raises `PlatformUnavailableError` where cmake is missing or the build fails.
    """
    library = library_path(cache)
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(library.with_suffix(".lock")):
        if not library.exists():
            _obtain(library, shared_path(cache), platform)
    return library


def _obtain(library: Path, shared: Path | None, platform: str) -> None:
    """Copy the library from `shared`, or build it and leave a copy there, one process of the machine at a time."""
    with ExitStack() as held:
        if shared is not None:
            with suppress(OSError):  # a home directory that is read-only, or full, costs the copy alone
                shared.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(shared.with_suffix(".lock")))
            if _is_own(shared):
                _copy(shared, library)
                return
        _build(library, platform)
        if shared is not None:
            with suppress(OSError):
                _copy(library, shared)


def _is_own(library: Path) -> bool:
    """Whether `library` is there and nobody but this user or root can have written it."""
    try:
        status = library.stat()
    except OSError:
        return False
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _copy(source: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    part.chmod(0o644)
    part.replace(target)  # another process sees the whole library or none


def load(cache: Path, platform: str) -> None:
    """Make the calculator available to PyPTO in this process. Idempotent. Import PyPTO first: it has the symbols."""
    library = ensure_built(cache, platform)
    if library not in _loaded:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        _loaded.add(library)


def _build(library: Path, platform: str) -> None:
    cmake = pypto_private.find_cmake()
    if cmake is None:
        raise PlatformUnavailableError(platform, "cmake is missing", "install cmake 3.16 or newer")
    build = library.parent / "build"  # an interrupted build is kept there, and the next one goes on with it
    definitions = [f"-D{name}={value}" for name, value in pypto_private.calculator_definitions().items()]
    configure = [str(cmake), "-S", str(pypto_private.calculator_sources()), "-B", str(build)]
    try:
        _run([*configure, "-DCMAKE_BUILD_TYPE=Release", *definitions], library, platform)
        _run([str(cmake), "--build", str(build), "-j", str(os.cpu_count() or 1)], library, platform)
        built = next(build.rglob(library.name), None)
        if built is None:
            raise PlatformUnavailableError(platform, f"the build made no {library.name}", f"see {_log(library)}")
    except PlatformUnavailableError:
        shutil.rmtree(build, ignore_errors=True)  # whatever is wrong with it must not outlive its cause
        raise
    # Rename within one directory: another process sees the whole library or none.
    built.replace(library)
    shutil.rmtree(build, ignore_errors=True)


def _run(command: list[str], library: Path, platform: str) -> None:
    with _log(library).open("ab") as log:
        log.write((" ".join(command) + "\n").encode())
        log.flush()
        done = subprocess.run(command, stdout=log, stderr=log, timeout=_BUILD_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise PlatformUnavailableError(
            platform, f"building PyPTO's calculator failed with code {done.returncode}", f"see {_log(library)}"
        )


def _log(library: Path) -> Path:
    return library.with_suffix(".log")
