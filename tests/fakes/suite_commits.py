"""A git repository with one file of a suite in it, which needs no torch, and a commit for each of its versions.

A version is Python that is executed first: it sets `US`, the time that the file says it takes, `RIGHT`, whether its
output is, `BITS`, what that holds in place of the device, or does anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.commits import Commits

FILE = "kernels/a.py"
PROFILE = f"""
name = "mine"
summary = "made for a test"
command = ["{sys.executable}", "{{file}}", "{{device}}", "{{workdir}}"]
files = {{ include = ["kernels/*.py"] }}
platforms = {{ model = {{ simulated = true, clock = "simulated" }} }}
data = {{ outputs = ["*.bin"] }}
limits = {{ seconds = 60, stop_seconds = 0.2 }}

[lines]
passed = "^PASS$"
output = "^(?P<name>out) (?P<verdict>PASS|FAIL)$"
time = "^took (?P<us>[0-9.]+) us$"

[[signatures]]
lines = ["^SyntaxError: "]
kind = "compile"
last = true
"""
PROGRAM = """
import pathlib, sys
from version import *
pathlib.Path(sys.argv[2], "out.bin").write_text(BITS or sys.argv[1])
print(f"took {US} us")
print("out PASS\\nPASS" if RIGHT else "out FAIL")
raise SystemExit(not RIGHT)
"""
SAME, SLOWER, WRONG = "", "US = 41", "RIGHT = False"
BROKEN, HANGS = "does not compile", "import time\ntime.sleep(3600)"
OF_DEVICE = "BITS = ''"


def profile(path: Path, more: str = "") -> Path:
    """The file of the profile with `more` sections, written to the directory `path`."""
    file = path / "mine.toml"
    file.write_text(PROFILE + more)
    return file


def suite_versions(path: Path, versions: Sequence[str]) -> Commits:
    """A repository with a commit for each of `versions`."""
    made = Commits(path)
    (path / "kernels").mkdir()
    (path / FILE).write_text(PROGRAM)
    for number, text in enumerate(versions):
        (path / "kernels" / "version.py").write_text(f"US, RIGHT, BITS = 40, True, 'x'\n{text}\nNUMBER = {number}\n")
        made.record(f"Version {number}")
    return made
