"""The versions of a suite's toolchain: what its programs print, and that an unknown version is said to be one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kernel.harness.profile_results import Tool
from kernel.harness.toolchain import asked, versions
from kernel.platforms.command import Command
from tests.fakes.harness import ROOT, shipped


def version(code: str, place: Path) -> str:
    return versions([Tool(name="cc", command=[sys.executable, "-c", code])], place, asked(place, {"BUILD": "7"}))["cc"]


def test_the_first_line_that_is_printed_is_the_version(tmp_path: Path) -> None:
    assert version("print(); print('cc 15.1'); print('more')", tmp_path) == "cc 15.1"
    assert version("import sys; sys.stderr.write('cc 9')", tmp_path) == "cc 9"


def test_it_is_asked_in_the_repository_with_the_trials_environment(tmp_path: Path) -> None:
    assert version("import os; print(os.getcwd(), os.environ['BUILD'])", tmp_path) == f"{tmp_path} 7"


@pytest.mark.parametrize(
    ("code", "told"),
    [("raise SystemExit(3)", "ended with exit code 3"), ("pass", "ended with exit code 0"), ("1/0", "exit code 1")],
)
def test_a_version_that_cannot_be_had_is_said_to_be_unknown(code: str, told: str, tmp_path: Path) -> None:
    found = version(code, tmp_path)

    assert found.startswith("unknown: ")
    assert told in found


def test_a_program_that_is_not_installed_is_an_unknown_version(tmp_path: Path) -> None:
    found = versions([Tool(name="ptoas", command=["no-such-ptoas"])], tmp_path, asked(tmp_path, {}))

    assert found == {"ptoas": "unknown: FileNotFoundError from no-such-ptoas"}


def test_every_record_of_a_suite_has_its_toolchain() -> None:
    tool = Tool(name="python", command=[sys.executable, "--version"])
    profile = shipped().model_copy(update={"toolchain": [tool]})

    found = Command(profile, "a2a3sim", ROOT).toolchain()

    assert found["python"] == f"Python {sys.version.split()[0]}"
    assert found.keys() == {"profile pypto-lib", "python"}
