"""Write `constraints/wheels.json`: the wheel of each pin for Linux on x86-64 and on aarch64, as pip chooses it.

    python -m tools.wheels            # every supported Python
    python -m tools.wheels 3.11       # one; the others keep what they have

Of the farm and its extras alone, not of the tools to develop it. Nothing is installed; pip downloads metadata and fails
where a pin has no wheel for a machine. `make lock` is to be run before, and this after it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from tools import closure
from tools.set_up import ROOT, SUPPORTED, WITHOUT_PYPTO, constraints_file

WHEELS = ROOT / "constraints" / "wheels.json"
MACHINES = ("x86_64", "aarch64")
# Of glibc; 2.28 is the least that PyTorch's wheels run with, and 2.36 Debian 12's.
_GLIBC = (5, 12, 17, 24, 26, 27, 28, 31, 34, 35)
_OLD_NAMES = ("manylinux1", "manylinux2010", "manylinux2014")


def pins(version: tuple[int, ...]) -> dict[str, str]:
    """Name → version of everything that is pinned for a Python."""
    lines = constraints_file(version).read_text().split()
    return dict(each.split("==") for each in lines if "==" in each)


def shipped(version: tuple[int, ...]) -> list[str]:
    """Requirements of the farm and its extras for a Python.

    Needs are read from this Python's packages. What only another Python's pins have may be needed there, and counts.
    """
    here, there = pins(sys.version_info[:2]), pins(version)
    names = set(closure.base()).union(*(closure.extra(each) for each in closure.EXTRAS))
    return [f"{name}=={there[name]}" for name in sorted((names | (there.keys() - here.keys())) & there.keys())]


def chosen(version: tuple[int, ...], machine: str) -> dict[str, str]:
    """Name → file name of the wheel that pip takes on a machine. Raises `CalledProcessError` where a pin has none."""
    tags = [f"manylinux_2_{each}_{machine}" for each in _GLIBC] + [f"{each}_{machine}" for each in _OLD_NAMES]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        (scratch / "pins.txt").write_text("\n".join(shipped(version)))
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
        command += ["--python-version", f"{version[0]}.{version[1]}", *(f"--platform={each}" for each in tags)]
        command += ["--target", str(scratch / "nowhere"), "--report", str(scratch / "report.json")]
        subprocess.run([*command, "-r", str(scratch / "pins.txt")], check=True)
        found = json.loads((scratch / "report.json").read_text())["install"]
    files = (Path(unquote(urlsplit(each["download_info"]["url"]).path)).name for each in found)
    return dict(sorted((canonicalize_name(file.partition("-")[0]), file) for file in files))


def main(arguments: list[str]) -> int:
    """Write the file."""
    written = json.loads(WHEELS.read_text()) if WHEELS.exists() else {}
    for version in (*SUPPORTED, *WITHOUT_PYPTO):
        name = f"{version[0]}.{version[1]}"
        if not arguments or name in arguments:
            written[name] = {machine: chosen(version, machine) for machine in MACHINES}
            print(f"wheels: Python {name}: {len(written[name][MACHINES[0]])} packages", file=sys.stderr)
            WHEELS.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
