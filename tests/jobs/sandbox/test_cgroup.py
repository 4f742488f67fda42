"""The cgroups of confined processes: on a directory like the hierarchy, and on a real one where there is one."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.sandbox import bubblewrap, cgroup
from jobs.sandbox.cgroup import Group, GroupLimits, Subtree
from jobs.sandbox.limits import SandboxCommand, SandboxExit, SandboxLimits, Supervised

LIMITS = GroupLimits(memory_bytes=1 << 30, tasks=64, cpus=1.5)
REAL = bubblewrap.subtree()


def hierarchy(place: Path, path: str = "farm.service", controllers: str = "cpu memory pids", enabled: str = "") -> Path:
    """A mounted hierarchy in `place` with this process in one group, which somebody has left to the farm."""
    for each in (place, place / path):
        each.mkdir(parents=True, exist_ok=True)
        (each / "cgroup.controllers").write_text(f"{controllers}\n")
        (each / "cgroup.subtree_control").write_text(f"{enabled}\n")
        (each / "cgroup.procs").write_text("")
    (place / "own").write_text(f"1:name=systemd:/\n0::/{path}\n")
    return place / path


def found(place: Path, **environment: str) -> Subtree:
    return cgroup.find(environment, place, place / "own")


def content(file: Path) -> str:
    return file.read_text().strip()


def supervised(command: list[str], subtree: Path, place: Path) -> tuple[SandboxExit, Path]:
    """How `command` ends in a group of `subtree`, and that group."""
    limits = SandboxLimits(memory_bytes=1 << 30, processes=64, time_s=30)
    with Supervised(SandboxCommand(command, subtree=subtree), os.environ, limits, place / "log", {}, place) as process:
        ended = process.wait(limits.time_s)
    assert ended is not None
    (group,) = subtree.glob("sandbox-*")
    return ended, group


def test_a_named_subtree_is_prepared_for_groups_with_limits(tmp_path: Path) -> None:
    path = hierarchy(tmp_path)

    assert found(tmp_path, FARM_CGROUP=str(path)) == Subtree(path, "")
    assert content(path / "cgroup.subtree_control") == "+memory +pids +cpu"


def test_a_delegated_group_is_found_from_a_process_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hierarchy(tmp_path, "system.slice/farm.service")
    (path / "farm").mkdir()
    (tmp_path / "own").write_text("0::/system.slice/farm.service/farm\n")
    marks = {(path, "user.delegate"): b"1", (tmp_path / "system.slice", "user.delegate"): b"1"}

    def marked(of: Path, name: str) -> bytes:
        if (of, name) not in marks:
            raise OSError("no such attribute")
        return marks[of, name]

    monkeypatch.setattr(os, "getxattr", marked)

    assert found(tmp_path) == Subtree(path, "")


def test_the_group_of_a_systemd_is_not_the_farms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hierarchy(tmp_path, "user@1000.service")
    (path / "init.scope").mkdir()
    monkeypatch.setattr(os, "getxattr", lambda *_: b"1")

    assert found(tmp_path) == Subtree(None, "no cgroup is delegated to the farm")


def test_a_group_that_nobody_has_left_to_the_farm_is_not_used(tmp_path: Path) -> None:
    path = hierarchy(tmp_path)

    assert found(tmp_path) == Subtree(None, "no cgroup is delegated to the farm")
    assert content(path / "cgroup.subtree_control") == ""


@pytest.mark.parametrize(
    ("controllers", "named", "lacks"),
    [
        ("cpu pids", "{path}", "{path} has no controller for memory"),
        ("cpu", "{path}", "{path} has no controller for memory and pids"),
        ("cpu memory pids", "{path}/missing", "{path}/missing is not a directory of cgroup v2"),
        ("cpu memory pids", "none", "FARM_CGROUP is none"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, controllers: str, named: str, lacks: str) -> None:
    path = hierarchy(tmp_path, controllers=controllers)

    assert found(tmp_path, FARM_CGROUP=named.format(path=path)) == Subtree(None, lacks.format(path=path))


def test_a_machine_without_the_second_version_says_so(tmp_path: Path) -> None:
    assert found(tmp_path) == Subtree(None, f"no cgroup v2 is mounted at {tmp_path}")


def test_a_subtree_that_refuses_the_farm_is_not_used(tmp_path: Path) -> None:
    path = hierarchy(tmp_path)
    (path / "cgroup.subtree_control").unlink()
    (path / "cgroup.subtree_control").mkdir()

    subtree = found(tmp_path, FARM_CGROUP=str(path))

    assert subtree.path is None
    assert subtree.lacks.startswith(f"{path} cannot be used: ")


def test_the_farms_processes_move_away_from_where_groups_are_made(tmp_path: Path) -> None:
    path = hierarchy(tmp_path)
    (path / "cgroup.procs").write_text("4711\n")

    assert found(tmp_path, FARM_CGROUP=str(path)).path == path
    assert content(path / "farm" / "cgroup.procs") == "4711"


def test_a_group_of_a_killed_process_is_removed_and_one_in_use_stays(tmp_path: Path) -> None:
    path = hierarchy(tmp_path)
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
    left, used = path / f"sandbox-{ended.pid}-0a", path / f"sandbox-{os.getpid()}-0b"
    for each in (left, used):
        each.mkdir()

    assert found(tmp_path, FARM_CGROUP=str(path)).path == path
    assert (left.exists(), used.exists()) == (False, True)


def test_a_group_has_its_limits_before_a_process_joins_and_is_killed_at_the_end(tmp_path: Path) -> None:
    group = Group(tmp_path, LIMITS)
    names = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max")

    assert [content(group.path / name) for name in names] == [str(1 << 30), "0", "1", "64", "150000 100000"]
    subprocess.run(group.joined(["/bin/sh", "-c", "exit 0"]), check=True)
    assert content(group.path / "cgroup.procs") == "0"
    group.end()
    assert content(group.path / "cgroup.kill") == "1"


def test_a_command_that_cannot_join_does_not_run(tmp_path: Path) -> None:
    group = Group(tmp_path, LIMITS)
    (group.path / "cgroup.procs").mkdir()

    done = subprocess.run(group.joined(["touch", str(tmp_path / "ran")]), capture_output=True, check=False)

    assert (done.returncode != 0, (tmp_path / "ran").exists()) == (True, False)


def test_a_process_that_linux_ended_for_its_memory_exceeds_a_limit(tmp_path: Path) -> None:
    killed = 'for group in "$0"/sandbox-*; do printf "max 3\\noom_kill 1\\n" > "$group/memory.events"; done; kill -9 $$'

    ended, group = supervised(["/bin/sh", "-c", killed, str(tmp_path)], tmp_path, tmp_path)

    assert ended == SandboxExit(None, "more than 1074 MB of memory", hung=False)
    assert content(group / "memory.max") == str(1 << 30)


def test_a_process_that_ends_by_itself_exceeds_none(tmp_path: Path) -> None:
    ended, group = supervised(["/bin/sh", "-c", "exit 3"], tmp_path, tmp_path)

    assert ended == SandboxExit(3, "", hung=False)
    assert content(group / "pids.max") == "64"


def test_one_processor_is_left_to_the_farm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    assert (SandboxLimits().group.cpus, SandboxLimits(cpus=2.5).group.cpus) == (7, 2.5)
    assert SandboxLimits(time_s=10).cpu_s == 81


@pytest.mark.skipif(REAL.path is None, reason=REAL.lacks)
def test_a_real_group_bounds_memory_and_is_gone_afterwards(tmp_path: Path) -> None:
    assert REAL.path is not None
    limits = dataclasses.replace(SandboxLimits(), memory_bytes=128 << 20, time_s=60)
    hoard = "import os\nheld = os.memfd_create('x')\nwhile True:\n    os.write(held, bytes(1 << 20))"
    launch = SandboxCommand([sys.executable, "-I", "-c", hoard], subtree=REAL.path)
    before = set(REAL.path.iterdir())

    with Supervised(launch, os.environ, limits, tmp_path / "log", {}, tmp_path) as process:
        ended = process.wait(60)

    assert ended == SandboxExit(None, "more than 134 MB of memory", hung=False)
    assert set(REAL.path.iterdir()) == before
