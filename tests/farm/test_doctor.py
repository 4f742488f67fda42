from __future__ import annotations

import importlib
import json
import os
import shutil
import sqlite3
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import URL

from farm import doctor
from farm.cli.doctor import command
from farm.doctor import DoctorCheck, Status
from jobs.sandbox import bubblewrap
from jobs.sandbox.bubblewrap import Gap, Isolation
from kernel.errors import UnknownNameError
from kernel.platforms.protocol import Missing


class FakePlatform:
    def __init__(self, *missing: Missing) -> None:
        self._missing = list(missing)

    def missing(self) -> list[Missing]:
        return self._missing


CMAKE = Missing("cmake", "builds PyPTO's host calculator", "apt-get install cmake")
CANN = Missing("CANN", "drives the NPU", "install CANN 8.2")


@pytest.fixture
def sound_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, FakePlatform]:
    """A machine where a2a3sim can run and a2a3 cannot; tests break one thing each."""
    platforms = {"a2a3": FakePlatform(CANN), "a2a3sim": FakePlatform()}
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in doctor.TOOLS:
        (tools / name).touch(mode=0o755)
    monkeypatch.setattr(bubblewrap, "isolation", lambda: Isolation(True, ""))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FARM_STORE", raising=False)

    def find(name: str) -> FakePlatform:
        if name not in platforms:
            raise UnknownNameError("platform", name, list(platforms))
        return platforms[name]

    monkeypatch.setattr(doctor, "find_platform", find)
    monkeypatch.setattr(doctor, "platform_names", lambda: sorted(platforms))
    return platforms


def problems(checks: list[DoctorCheck]) -> list[str]:
    return [check.name for check in checks if check.status is Status.PROBLEM]


def test_a_sound_machine_is_ready_and_the_other_platform_is_a_note(sound_machine: dict[str, FakePlatform]) -> None:
    diagnosis = doctor.diagnose("a2a3sim")

    assert diagnosis.ready
    assert problems(diagnosis.checks) == []
    notes = {check.name: check for check in diagnosis.checks if check.status is Status.NOTE}
    assert list(notes) == ["platform a2a3"]
    assert "CANN is missing (drives the NPU)" in notes["platform a2a3"].detail
    assert notes["platform a2a3"].remedy == "install CANN 8.2"


def test_looking_leaves_nothing_behind(sound_machine: dict[str, FakePlatform], tmp_path: Path) -> None:
    doctor.diagnose("a2a3sim")

    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_the_asked_platform_is_a_problem_when_it_cannot_run(sound_machine: dict[str, FakePlatform]) -> None:
    diagnosis = doctor.diagnose("a2a3")

    assert not diagnosis.ready
    assert problems(diagnosis.checks) == ["platform a2a3"]


def test_a_platform_that_cannot_be_imported_is_a_problem(
    sound_machine: dict[str, FakePlatform], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> FakePlatform:
        raise ModuleNotFoundError("No module named 'pypto'", name="pypto")

    monkeypatch.setattr(doctor, "find_platform", broken)

    check = doctor.check_platform("a2a3sim", asked=True)

    assert check.status is Status.PROBLEM
    assert "pypto is missing" in check.detail


@pytest.mark.parametrize("tool", ["g++", "cmake", "make"])
def test_a_missing_tool_is_a_problem_with_its_package(
    sound_machine: dict[str, FakePlatform], tmp_path: Path, tool: str
) -> None:
    (tmp_path / "bin" / tool).unlink()

    diagnosis = doctor.diagnose("a2a3sim")

    assert problems(diagnosis.checks) == [tool]
    assert next(check.remedy for check in diagnosis.checks if check.name == tool) == f"apt-get install {tool}"


def test_missing_git_is_a_note_because_runs_go_without(sound_machine: dict[str, FakePlatform], tmp_path: Path) -> None:
    (tmp_path / "bin" / "git").unlink()

    assert doctor.check_tool("git").status is Status.NOTE
    assert doctor.diagnose("a2a3sim").ready


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ((3, 9, 18), Status.PROBLEM),
        ((3, 10, 13), Status.OK),
        ((3, 12, 1), Status.OK),
        ((3, 13, 0), Status.NOTE),
        ((3, 14, 0), Status.PROBLEM),
    ],
)
def test_a_python_without_a_wheel_of_pypto_is_a_note_and_one_that_nothing_runs_with_a_problem(
    version: tuple[int, ...], status: Status
) -> None:
    assert doctor.check_python(version).status is status


def test_ray_that_cannot_be_imported_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", refuse)

    check = doctor.check_ray()

    assert check.status is Status.PROBLEM
    assert "No module named 'ray'" in check.detail


def test_a_ray_that_was_never_tried_is_a_problem_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2.99.0")

    check = doctor.check_ray()

    assert check.status is Status.PROBLEM
    assert "Ray 2.99.0 is installed" in check.detail
    assert check.remedy.startswith("use 2.55 to 2.60")


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10**12, 10**12, 10**9))

    check = doctor.check_disk(tmp_path / "not" / "there" / "yet")

    assert check.status is Status.PROBLEM
    assert "1.0 GB free" in check.detail
    assert "safe to delete" in check.remedy


def test_a_home_below_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    check = doctor.check_home(tmp_path / "file" / "home")

    assert check.status is Status.PROBLEM
    assert "FARM_HOME" in check.remedy


def test_a_home_one_may_not_write_to_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)

    assert doctor.check_home(tmp_path).status is Status.PROBLEM


def test_a_store_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    check = doctor.check_store(f"sqlite:///{tmp_path}/store.sqlite")

    assert check.status is Status.OK
    assert "first run makes it" in check.detail


def test_a_store_in_a_file_with_an_odd_name_is_well(tmp_path: Path) -> None:
    path = tmp_path / "a ?#%.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE run (id TEXT)")
    connection.close()

    url = URL.create("sqlite", database=str(path)).render_as_string()

    assert doctor.check_store(url).status is Status.OK


def test_a_damaged_store_is_a_note_because_it_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database at all, and long enough to say so" * 40)

    check = doctor.check_store(f"sqlite:///{path}")

    assert check.status is Status.NOTE
    assert "damaged" in check.detail


def test_a_store_that_cannot_be_opened_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.mkdir()

    assert doctor.check_store(f"sqlite:///{path}").status is Status.PROBLEM


@pytest.mark.parametrize("url", ["nonsense", "nodatabase://host/farm"])
def test_a_url_that_names_no_database_is_a_problem(url: str) -> None:
    check = doctor.check_store(url)

    assert check.status is Status.PROBLEM
    assert "FARM_STORE" in check.remedy


def test_a_missing_database_driver_is_a_problem_naming_the_package() -> None:
    check = doctor.check_store("postgresql+asyncpg://farm:secret@127.0.0.1:1/farm")

    assert check.status is Status.PROBLEM
    assert check.remedy == "pip install asyncpg"
    assert "secret" not in check.detail


def test_the_command_prints_one_line_a_check_and_exits_0(sound_machine: dict[str, FakePlatform]) -> None:
    result = CliRunner().invoke(command)

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[-1] == "ready: platform a2a3sim can run here"
    assert any(line.startswith("note     platform a2a3 ") for line in lines)


def test_the_command_exits_2_and_says_how_many_problems(sound_machine: dict[str, FakePlatform]) -> None:
    sound_machine["a2a3sim"] = FakePlatform(CMAKE)

    result = CliRunner().invoke(command)

    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == "not ready: 1 problem to remedy before platform a2a3sim can run here"


def test_the_command_prints_json_and_nothing_else(sound_machine: dict[str, FakePlatform]) -> None:
    result = CliRunner().invoke(command, ["--json", "--platform", "a2a3"])

    told = json.loads(result.stdout)
    assert result.exit_code == 2
    assert told["platform"] == "a2a3"
    assert told["ready"] is False
    assert {check["name"] for check in told["checks"]} >= {"python", "ray", "platform a2a3", "disk", "store"}


def test_a_machine_without_a_sandbox_is_told_what_is_not_isolated() -> None:
    (there,), (not_there,) = (
        doctor.check_sandbox(Isolation(bubblewrap, lacks)) for bubblewrap, lacks in ((True, ""), (False, "no network"))
    )

    assert there.status is Status.OK
    assert (not_there.status, not_there.detail) == (Status.NOTE, "no network")
    assert "bubblewrap" in not_there.remedy


def test_each_means_that_a_sandbox_lacks_is_a_note_with_its_remedy() -> None:
    gap = Gap("a cgroup", "none is delegated", "memory is summed ten times a second", "set FARM_CGROUP")

    there, note = doctor.check_sandbox(Isolation(True, "", (gap,)))

    assert (there.status, note.status) == (Status.OK, Status.NOTE)
    assert note.detail == "no cgroup: none is delegated; memory is summed ten times a second"
    assert note.remedy == "set FARM_CGROUP"
    assert str(Isolation(True, "", (gap,))) == "bubblewrap, without a cgroup (none is delegated)"
