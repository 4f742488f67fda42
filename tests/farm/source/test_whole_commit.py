"""All files of a commit as one tree: what is kept, and what is refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from farm.source import whole_commit
from farm.source.git_repository import GitRepository, RefusedProgramError
from farm.source.whole_commit import changed_paths
from jobs.sandbox.source_tree import Tree


def commit_of(place: Path) -> tuple[GitRepository, str]:
    """A repository of everything below `place`, and its one commit."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "files", "--allow-empty"],
    ):
        subprocess.run(["git", "-C", str(place), *words], check=True, env=environment)
    repository = GitRepository(place)
    return repository, repository.commit("HEAD")


def test_files_keep_their_place_their_right_to_run_and_their_links(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    (place / "tools").mkdir(parents=True)
    (place / "run.py").write_text("print(1)\n")
    (place / "tools" / "build.sh").write_text("#!/bin/sh\n")
    (place / "tools" / "build.sh").chmod(0o755)
    (place / "build").symlink_to("tools/build.sh")

    top = whole_commit.whole_commit(*commit_of(place)).unpack(tmp_path / "cache")

    assert (top / "run.py").read_text() == "print(1)\n"
    assert os.access(top / "build", os.X_OK)
    assert oct((top / "run.py").stat().st_mode & 0o777) == "0o444"
    assert (top / "build").readlink() == Path("tools/build.sh")


@pytest.mark.parametrize("held", ["/etc/passwd", "../outside", "a/../../outside", ".."])
def test_a_link_out_of_the_repository_is_refused(held: str, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("print(1)\n")
    (tmp_path / "link").symlink_to(held)

    with pytest.raises(RefusedProgramError, match=r"'link' in commit .* is a symbolic link to .*put a file there"):
        whole_commit.whole_commit(*commit_of(tmp_path))


@pytest.mark.parametrize(
    ("bound", "told"),
    [("MAX_FILES", "has 2 files; a suite has at most 1"), ("MAX_FILE_BYTES", "a file of a suite"), ("MAX_BYTES", "MB")],
)
def test_a_commit_with_too_much_in_it_is_refused(
    bound: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text("print(1)\n")
    (tmp_path / "b.py").write_text("print(2)\n")
    monkeypatch.setattr(whole_commit, bound, 1)

    with pytest.raises(RefusedProgramError, match=told):
        whole_commit.whole_commit(*commit_of(tmp_path))


def test_an_empty_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedProgramError, match="has no files"):
        whole_commit.whole_commit(*commit_of(tmp_path))


def test_many_files_are_asked_for_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.py").write_text(str(number) * 10)
    monkeypatch.setattr(whole_commit, "BATCH_BYTES", 25)

    tree = whole_commit.whole_commit(*commit_of(tmp_path))

    assert dict(tree.files) == {f"{number}.py": (str(number) * 10).encode() for number in range(5)}


def test_a_change_is_of_contents_links_and_the_right_to_run() -> None:
    base = Tree.of(".", {"same": b"1", "other": b"1", "gone": b"1", "run": b"1"}, [], {"link": "same"})
    head = Tree.of(".", {"same": b"1", "other": b"2", "new": b"1", "run": b"1"}, ["run"], {"link": "other"})

    assert changed_paths(head, base) == ["gone", "link", "new", "other", "run"]
    assert head.address != base.address
