"""A full disk is told before a compiler meets it."""

from __future__ import annotations

import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from jobs import disk_space

Usage = namedtuple("Usage", "total used free")


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - free, free))


def test_a_disk_with_too_little_room_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, disk_space.LEAST_BYTES - 1)
    with pytest.raises(OSError, match=r"No space left on device: 67\.1 MB free, 67 MB are needed") as caught:
        disk_space.require(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert disk_space.is_out(tmp_path)


def test_a_disk_with_room_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, disk_space.LEAST_BYTES)
    disk_space.require(tmp_path)
    assert not disk_space.is_out(tmp_path)


def test_a_directory_of_another_machine_says_nothing(tmp_path: Path) -> None:
    assert not disk_space.is_out(tmp_path / "elsewhere")
