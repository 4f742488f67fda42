"""Removing: whole or not at all, and nothing that is in use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from farm.errors import InfrastructureError
from farm.report.housekeeping import removal

DAY = 86400.0


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0123456789")
    for each in (path, path.parent):
        os.utime(each, (time.time() - days * DAY,) * 2)
    return path


def test_a_directory_or_a_file_goes_and_a_missing_one_is_no_error(tmp_path: Path) -> None:
    aged(tmp_path / "run" / "report.json", 1)
    aged(tmp_path / "one", 1)

    for name in ("run", "one", "run"):
        removal.remove(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_call_has_left_goes_with_the_next(tmp_path: Path) -> None:
    aged(tmp_path / ".pruned-20261101-120000-abcdef" / "report.json", 1)
    aged(tmp_path / "20261102-120000-abcdef" / "report.json", 1)

    removal.finish(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["20261102-120000-abcdef"]


def test_what_cannot_be_removed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InfrastructureError, match=r"run cannot be removed: Permission denied"):
        removal.remove(aged(tmp_path / "run" / "x", 1).parent)


def test_only_builds_and_references_that_nobody_reads_are_unused(tmp_path: Path) -> None:
    old = aged(tmp_path / "builds" / "ab" / "abcd" / "program.json", 40)
    aged(tmp_path / "builds" / "ab" / "abff" / "program.json", 2)
    reference = aged(tmp_path / "references" / "cd" / "cdef.safetensors", 40)
    aged(tmp_path / "calculator" / "lib.so", 400)

    assert dict(removal.unused(tmp_path, 30)) == {old.parent: 10, reference: 10}


def test_a_session_of_ray_is_abandoned_once_no_process_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    dead = aged(tmp_path / "ray" / "session_2026-11-01_1" / "log", 3).parent
    alive = aged(tmp_path / "ray" / "session_2026-11-01_2" / "log", 3).parent
    aged(tmp_path / "ray" / "session_2026-11-01_3" / "log", 0)
    (tmp_path / "ray" / "session_latest").symlink_to(alive)

    with subprocess.Popen([sys.executable, "-c", "input()", f"--dir={alive}/sockets"], stdin=subprocess.PIPE) as user:
        found = dict(removal.abandoned_sessions())
        user.communicate(b"\n")

    assert found == {dead: 10}


def test_a_set_up_that_nobody_reads_is_removed_although_it_is_unwritable(tmp_path: Path) -> None:
    made = tmp_path / "set-ups" / "ab" / "abc"
    (made / "step" / "out").mkdir(parents=True)
    (made / "step" / "out" / "file").write_text("x" * 10)
    (made / "step" / "out").chmod(0o555)
    view = tmp_path / "views" / "cd" / "cde"
    view.mkdir(parents=True)

    unused = dict(removal.unused(tmp_path, -1))
    for path in unused:
        removal.remove(path)

    assert unused == {made: 10, view: 0}
    assert not made.exists()
