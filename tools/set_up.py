"""Set up `.venv` for `make run` and `make test`: check, create, install, remember.

Run by whatever Python the machine has; standard library only. A second call with nothing changed returns at once.

    python3 -m tools.set_up            what `farm` needs
    python3 -m tools.set_up --dev      that, and what the tests and checks need

Environment: `PYTHON` picks the interpreter; `FARM_TORCH=any` accepts a CUDA build of torch; `TORCH_INDEX_URL` replaces
PyTorch's own index of CPU builds.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "set-up.json"
SUPPORTED = ((3, 12), (3, 11), (3, 10))  # in order of preference; PyPTO 0.2.0 has wheels for these
WITHOUT_PYPTO = ((3, 13),)  # for suites and the service alone; `make setup` does not choose them
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # https://pytorch.org/get-started/locally, "CPU"
EXTRAS = "pypto,service,tune,test"  # whatever a command of `farm` needs, without a database server
CUDA_PACKAGE = re.compile(r"nvidia-|cuda-|triton$", re.IGNORECASE)

PREREQUISITES = {  # command → Debian package
    "git": "git",
    "g++": "g++",
    "cmake": "cmake",
    "make": "make",
}


class SetUpError(Exception):
    """Set-up cannot go on; the message is one line and says what to do."""


def say(message: str) -> None:
    """One line of progress on stderr, so that stdout stays the command's own."""
    print(f"set-up: {message}", file=sys.stderr, flush=True)


def missing_prerequisites() -> list[str]:
    """Debian packages of the commands that are not on `PATH`."""
    return [package for command, package in PREREQUISITES.items() if shutil.which(command) is None]


def check_prerequisites() -> None:
    """Raise `SetUpError` naming every missing command's Debian package."""
    packages = missing_prerequisites()
    if packages:
        raise SetUpError(f"not found: {', '.join(packages)}; on Debian: apt-get install {' '.join(packages)}")


def python_version(python: str) -> tuple[int, int, int] | None:
    """Version of the interpreter `python`, or None where it is not one (a version manager's stub, for instance)."""
    code = "import sys; print(*sys.version_info[:3])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=30)
        major, minor, micro = (int(part) for part in done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return (major, minor, micro)


def find_python() -> str:
    """The interpreter to build `.venv` with. `$PYTHON` wins; then this one; then the newest supported on `PATH`."""
    chosen = os.environ.get("PYTHON")
    if chosen:
        version = python_version(chosen)
        if version is None:
            raise SetUpError(f"PYTHON={chosen} is no Python interpreter")
        if version[:2] not in SUPPORTED:
            raise SetUpError(f"PYTHON={chosen} is {dotted(version)}; Python 3.10, 3.11 or 3.12 is needed")
        return chosen
    names = [sys.executable, *(f"python{major}.{minor}" for major, minor in SUPPORTED)]
    for name in names:
        version = python_version(name) if name else None
        if version and version[:2] in SUPPORTED:
            return name
    own = dotted(sys.version_info[:3])
    raise SetUpError(
        f"Python {own} is not supported (PyPTO 0.2.0 has wheels for 3.10 to 3.12) and no python3.10, python3.11 or "
        "python3.12 is on PATH; install one and name it: make ... PYTHON=/path/to/python3.12"
    )


def dotted(version: tuple[int, ...]) -> str:
    """`3.11.7` for `(3, 11, 7)`."""
    return ".".join(map(str, version))


def constraints_file(version: tuple[int, ...]) -> Path:
    """The pinned set for a Python version; `make lock` writes it."""
    return ROOT / "constraints" / f"py{version[0]}{version[1]}.txt"


def pinned(constraints: Path, package: str) -> str:
    """Version of `package` in a constraints file."""
    for line in constraints.read_text().splitlines():
        name, _, version = line.partition("==")
        if name.strip().lower() == package:
            return version.strip()
    raise SetUpError(f"{constraints.name} pins no {package}; run: make lock")


def fingerprint(version: tuple[int, ...]) -> str:
    """SHA-256 of everything the installed set follows from."""
    digest = hashlib.sha256(dotted(version).encode())
    for path in (ROOT / "pyproject.toml", constraints_file(version), Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def installed_version() -> tuple[int, ...] | None:
    """Python version of the present `.venv`, read without starting it."""
    config = VENV / "pyvenv.cfg"
    if not config.is_file() or not (VENV / "bin" / "python").exists():
        return None
    match = re.search(r"^version\s*=\s*(\d+)\.(\d+)\.(\d+)", config.read_text(), re.MULTILINE)
    return tuple(map(int, match.groups())) if match else None


def is_current(dev: bool) -> bool:
    """True where `.venv` already holds what is asked for, in the Python asked for."""
    version = installed_version()
    if version is None or version[:2] not in SUPPORTED or not STAMP.is_file():
        return False
    chosen = os.environ.get("PYTHON")
    if chosen and python_version(chosen) != version:
        return False
    stamp = json.loads(STAMP.read_text())
    return stamp["fingerprint"] == fingerprint(version) and (stamp["dev"] or not dev)


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `.venv`'s pip quietly. The caller looks at the return code."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def last_error(done: subprocess.CompletedProcess[str]) -> str:
    """pip's own last word on what went wrong."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
    return errors[-1] if errors else f"pip ended with {done.returncode}"


def make_venv(python: str) -> None:
    """A fresh `.venv` with `python`."""
    probe = subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True)
    if probe.returncode != 0:
        raise SetUpError(f"{python} cannot make virtual environments; on Debian: apt-get install python3-venv")
    subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=True)


def torch_is_installed(version: str) -> bool:
    """True where `.venv` has torch `version`, whichever build."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    done = subprocess.run([str(VENV / "bin" / "python"), "-c", code], capture_output=True, text=True)
    return done.stdout.strip().partition("+")[0] == version


def install_torch(constraints: Path) -> None:
    """Install the pinned torch, as a CPU build unless `FARM_TORCH=any`.

    PyPI's Linux build pulls several GB of CUDA that nothing here uses, so pip is first asked what it would install.
    """
    version = pinned(constraints, "torch")
    if torch_is_installed(version):
        return
    wanted = f"torch=={version}"
    if os.environ.get("FARM_TORCH") == "any" or not needs_cuda(wanted):
        say(f"installing {wanted}")
        done = pip("install", "-c", str(constraints), wanted)
        if done.returncode != 0:
            raise SetUpError(f"cannot install {wanted}: {last_error(done)}")
        return
    index = os.environ.get("TORCH_INDEX_URL", TORCH_CPU_INDEX)
    say(f"installing {wanted}+cpu from {index} (pip's default would bring CUDA)")
    # `+cpu` names the build: without it an unreachable index would let pip fall back to the CUDA wheel.
    done = pip("install", "--retries=1", "--timeout=30", "--no-deps", "--index-url", index, f"{wanted}+cpu")
    if done.returncode != 0:
        raise SetUpError(
            f"no CPU build of {wanted} from {index}; set TORCH_INDEX_URL to an index that has one, "
            "or accept PyPI's CUDA build (several GB) with FARM_TORCH=any"
        )


def needs_cuda(requirement: str) -> bool:
    """True where pip would install CUDA packages along with `requirement`. Downloads metadata only."""
    done = pip("install", "--dry-run", "--quiet", "--report", "-", requirement)
    if done.returncode != 0:
        raise SetUpError(f"pip finds no {requirement}: {last_error(done)}")
    names = [entry["metadata"]["name"] for entry in json.loads(done.stdout)["install"]]
    return any(CUDA_PACKAGE.match(name) for name in names)


def install(python: str, dev: bool) -> None:
    """Bring `.venv` to the state `pyproject.toml` and the constraints describe."""
    version = python_version(python)
    assert version is not None
    constraints = constraints_file(version)
    if installed_version() != version:
        say(f"creating .venv with Python {dotted(version)}")
        make_venv(python)
    STAMP.unlink(missing_ok=True)  # an interrupted set-up must not look finished
    # Older pips download whole wheels for a dry run: several GB, only to learn that they are not wanted.
    done = pip("install", "-c", str(constraints), "--upgrade", "pip")
    if done.returncode != 0:
        raise SetUpError(f"cannot install pip {pinned(constraints, 'pip')}: {last_error(done)}")
    install_torch(constraints)
    target = f"{ROOT}[{'dev' if dev else EXTRAS}]"
    say("installing the farm and its dependencies")
    done = pip("install", "-c", str(constraints), "-e", target)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise SetUpError(f"pip could not install the farm: {last_error(done)}")
    STAMP.write_text(json.dumps({"fingerprint": fingerprint(version), "dev": dev}))


def wanted_python() -> str:
    """`$PYTHON`, or the interpreter `.venv` was made with while that is still supported, or a fresh choice."""
    version = installed_version()
    if not os.environ.get("PYTHON") and version and version[:2] in SUPPORTED:
        return str(VENV / "bin" / "python")
    return find_python()


def has_dev() -> bool:
    """True where the present `.venv` was set up with `--dev`; a later `make run` keeps it so."""
    return STAMP.is_file() and bool(json.loads(STAMP.read_text())["dev"])


def main() -> int:
    """Entry point. 0 when `.venv` is ready, 2 when something is missing."""
    parser = argparse.ArgumentParser(description="Set up .venv.")
    parser.add_argument("--dev", action="store_true", help="also what the tests and checks need")
    dev: bool = parser.parse_args().dev
    started = time.monotonic()
    try:
        check_prerequisites()
        with (ROOT / ".set-up.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may start together
            if is_current(dev):
                return 0
            install(wanted_python(), dev or has_dev())
    except SetUpError as error:
        say(str(error))
        return 2
    say(f"ready in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
