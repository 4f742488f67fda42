"""The shape of the source: which way imports go, and how long a file may grow. `make lint` checks the first as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LONGEST = 400  # lines; past this a file holds more than one thing
PACKAGES = ("kernel", "jobs", "farm", "ci", "tools")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_imports_go_from_ci_to_farm_to_jobs_to_kernel() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_grows_beyond_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_module_is_a_room_without_a_name() -> None:
    nameless = {"utils", "util", "helpers", "common", "core", "base", "misc", "manager"}

    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in nameless] == []
