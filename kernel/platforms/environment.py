"""What this process and machine bring along: tools, versions, and variables PyPTO's native code reads."""

from __future__ import annotations

import os
import platform as host
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from kernel.platforms import pypto_private
from kernel.platforms.protocol import Missing


def missing_pypto() -> list[Missing]:
    """PyPTO, where it is absent or of another version than the platforms are written for."""
    version, wanted = pypto_private.installed_version(), pypto_private.SUPPORTED_VERSION
    if version == wanted:
        return []
    why = f"this platform is written for PyPTO {wanted}, found {version or 'none'}"
    return [Missing(f"pypto {wanted}", why, pypto_private.remedy())]


def missing_build_tools() -> list[Missing]:
    """What it takes to build PyPTO's host calculator and is not here."""
    found: list[Missing] = []
    if pypto_private.find_cmake() is None:
        found.append(Missing("cmake", "builds PyPTO's host calculator", "install cmake 3.16 or newer"))
    for tool in ("g++", "make"):
        if shutil.which(tool) is None:
            found.append(Missing(tool, "builds PyPTO's host calculator", "install build-essential"))
    return found


def toolchain() -> dict[str, str]:
    """Versions of what every PyPTO platform computes with."""
    return {
        "pypto": pypto_private.installed_version(),
        "torch": str(torch.__version__),
        "python": host.python_version(),
        "g++": _compiler_version(),
        "host": f"{host.system()}-{host.machine()}".lower(),
    }


def own_python_first() -> None:
    """Put this interpreter's directory first in PATH: PyPTO starts scripts with whatever `python3` it finds there."""
    own = str(Path(sys.executable).parent)
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if entries[0] != own:
        os.environ["PATH"] = os.pathsep.join([own, *entries])


def native_logs_below(cache: Path) -> None:
    """Native errors to stdout, where a run's log gets them; native log files below `cache`, unless set otherwise."""
    logs = Path(os.environ.setdefault("ASCEND_PROCESS_LOG_PATH", str(cache / "native-logs")))
    logs.mkdir(parents=True, exist_ok=True)
    pypto_private.log_to_stdout()


def no_drawing(cache: Path) -> Path:
    """A directory whose `python3` does nothing.

    After every simulation PyPTO starts `python3` three times to draw pictures that nobody reads, up to a minute a run
    on a busy machine. The setting that turns this off works only before PyPTO is imported, which a kernel may have
    done; this works always.
    """
    directory = cache / "no-drawing"
    script = directory / "python3"
    if not script.exists():
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f"python3.{os.getpid()}"
        fresh.write_text("#!/bin/sh\nexit 0\n")
        fresh.chmod(0o755)
        fresh.replace(script)
    return directory


def _compiler_version() -> str:
    if shutil.which("g++") is None:
        return ""
    done = subprocess.run(["g++", "-dumpfullversion"], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()
