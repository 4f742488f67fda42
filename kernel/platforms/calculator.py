"""PyPTO's host calculator: a C++ library that executes a compiled graph with libtorch and so gives the numbers.

The package brings its sources and builds them, about 20 s, in every process that wants numbers. Here it is built once
per (PyPTO, torch, Python) into a cache that all workers of a machine share.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from kernel.errors import PlatformUnavailableError
from kernel.platforms import pypto_private

DIRECTORY = "calculator"  # below the cache
_BUILD_TIMEOUT_S = 900
_loaded: set[Path] = set()


def library_path(cache: Path) -> Path:
    """Where the library for the installed PyPTO, torch and Python belongs."""
    torch_version = pypto_private.calculator_definitions()["PY3_MOD_TORCH_VERSION"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = f"pypto-{pypto_private.installed_version()}-torch-{torch_version}-python-{python}"
    return cache / DIRECTORY / key / pypto_private.CALCULATOR_LIBRARY


def ensure_built(cache: Path, platform: str) -> Path:
    """The library, built if it is not there yet. Safe to call from many processes at once.

    Raises `PlatformUnavailableError` where cmake is missing or the build fails.
    """
    library = library_path(cache)
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(library.with_suffix(".lock")):
        if not library.exists():
            _build(library, platform)
    return library


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
