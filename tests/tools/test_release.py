"""Distributions are the same bytes wherever and whenever they are built."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from tools import release

EPOCH = 1_790_000_000


def packed(names: list[str], mtime: int, uid: int, mode: int) -> bytes:
    """A .tar.gz as setuptools leaves it."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(f"farm-{mtime}.tar", "wb", 6, out, mtime) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.uid, entry.gid, entry.uname = mtime, uid, uid, f"user{uid}"
            entry.mode = mode | (0o100 if name.endswith(".sh") else 0)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return out.getvalue()


def test_times_users_rights_and_order_of_the_builder_leave_no_trace() -> None:
    names = ["farm-1/b.py", "farm-1/a.py", "farm-1/run.sh"]
    first = release.repacked(packed(names, 1, 1000, 0o600), EPOCH)
    second = release.repacked(packed(names[::-1], 2_000_000_000, 0, 0o664), EPOCH)

    assert first == second
    assert release.repacked(first, EPOCH) == first
    assert release.repacked(packed(names, 1, 1000, 0o600), EPOCH + 1) != first


def test_names_contents_and_what_is_executable_stay() -> None:
    made = release.repacked(packed(["farm-1/run.sh", "farm-1/a.py"], 1, 1000, 0o600), EPOCH)

    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        entries = {each.name: each for each in archive}
        contents = {name: (archive.extractfile(each) or io.BytesIO()).read().decode() for name, each in entries.items()}
    assert contents == {"farm-1/a.py": "farm-1/a.py", "farm-1/run.sh": "farm-1/run.sh"}
    assert [oct(entries[name].mode) for name in sorted(entries)] == ["0o644", "0o755"]
    assert {each.mtime for each in entries.values()} == {EPOCH}


def test_another_content_is_another_archive() -> None:
    one, other = (release.repacked(packed([name], 1, 0, 0o644), EPOCH) for name in ("farm-1/a.py", "farm-1/b.py"))

    assert one != other


@pytest.mark.long
def test_two_builds_of_a_commit_have_the_same_bytes(tmp_path: Path) -> None:
    assert release.differences() == []
    assert len(release.build(tmp_path / "dist", release.newest())) == 2
