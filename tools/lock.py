"""Write `constraints/pyXY.txt`: the full pinned set for each supported Python, as pip resolves it today.

    python -m tools.lock              # every supported Python
    python -m tools.lock 3.13         # one; the others keep what they have

With the tools for development (extras dev and docs); for a Python without a wheel of PyPTO, the extras for users alone.
Needs the interpreters on `PATH` (or below `$PYENV_ROOT`); a Python that is not here keeps its file. Nothing is
installed: pip resolves in a throw-away environment and reports.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.set_up import CUDA_PACKAGE, ROOT, SUPPORTED, WITHOUT_PYPTO, constraints_file, python_version

PROJECT = "npu-kernel-farm"
_EVERYTHING = "dev,docs"
_WITHOUT_PYPTO = "service,tune,test,postgres,notify"


def interpreter(version: tuple[int, int]) -> str | None:
    """A Python of `version` on this machine."""
    name = f"python{version[0]}.{version[1]}"
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates = [name, *(str(path) for path in sorted(pyenv.glob(f"{version[0]}.{version[1]}.*/bin/python")))]
    return next((each for each in candidates if (python_version(each) or ())[:2] == version), None)


def resolve(python: str, extras: str) -> dict[str, str]:
    """Name → version of what pip would install for the farm with `extras`, and pip itself."""
    with tempfile.TemporaryDirectory() as temporary:
        subprocess.run([python, "-m", "venv", temporary], check=True)
        pip = [f"{temporary}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        report = Path(temporary) / "report.json"
        dry_run = ["--dry-run", "--ignore-installed", "--report", str(report), "pip", "-e", f"{ROOT}[{extras}]"]
        subprocess.run([*pip, *dry_run], check=True)
        entries = [entry["metadata"] for entry in json.loads(report.read_text())["install"]]
    pins = {re.sub(r"[-_.]+", "-", entry["name"]).lower(): entry["version"] for entry in entries}
    return {name: version for name, version in pins.items() if name != PROJECT and not CUDA_PACKAGE.match(name)}


def main(arguments: list[str]) -> int:
    """Write one file a Python. 1 where an interpreter was not found."""
    absent = 0
    for version in (*SUPPORTED, *WITHOUT_PYPTO):
        if arguments and f"{version[0]}.{version[1]}" not in arguments:
            continue
        python = interpreter(version)
        path = constraints_file(version)
        if python is None:
            print(f"lock: no Python {version[0]}.{version[1]} here, {path.name} stays as it is", file=sys.stderr)
            absent = 1
            continue
        extras = _WITHOUT_PYPTO if version in WITHOUT_PYPTO else _EVERYTHING
        # The local part (`+cpu`) names a build, not a version, and no index but PyTorch's own serves it.
        pins = [f"{name}=={pin.partition('+')[0]}" for name, pin in sorted(resolve(python, extras).items())]
        header = f"# Written by `make lock` for Python {version[0]}.{version[1]}; do not edit."
        path.write_text("\n".join([header, *pins]) + "\n")
        print(f"lock: {path.name}, {len(pins)} packages", file=sys.stderr)
    return absent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
