"""Which commit sources are at, also where git is told otherwise, and why none where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from farm.source.kernel_identity import recorded_name
from farm.source.provenance import UNKNOWN, provenance


def git(where: Path, *words: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *author, "-C", str(where), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(where: Path) -> str:
    """A repository with `kernels/mine.py`; its commit."""
    (where / "kernels").mkdir(parents=True)
    (where / "kernels" / "mine.py").write_text("KERNEL = 1\n")
    git(where, "init", "-q")
    git(where, "add", ".")
    git(where, "commit", "-qm", "one")
    return git(where, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def without_a_repository_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"):
        monkeypatch.delenv(name, raising=False)


def test_a_tracked_file_is_at_the_commit_and_dirty_where_anything_differs(tmp_path: Path) -> None:
    commit = repository(tmp_path)
    mine = tmp_path / "kernels" / "mine.py"

    assert provenance(mine).commit == commit
    mine.write_text("KERNEL = 2\n")
    assert provenance(mine).commit == f"{commit}-dirty"


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"])
def test_git_variables_of_a_hook_do_not_answer_for_another_repository(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository(tmp_path / "ours")
    repository(tmp_path / "other")
    monkeypatch.setenv(variable, str(tmp_path / "other" / ".git"))

    assert provenance(tmp_path / "ours" / "kernels" / "mine.py").commit == commit


def test_unknown_comes_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path / "ours")
    (tmp_path / "ours" / "new.py").touch()
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    (tmp_path / "loose.py").touch()

    found = {
        "new": provenance(tmp_path / "ours" / "new.py"),
        "empty": provenance(tmp_path / "empty"),
        "loose": provenance(tmp_path / "loose.py"),
    }
    monkeypatch.setenv("PATH", str(tmp_path))
    found["no git"] = provenance(tmp_path / "ours")

    assert {each.commit for each in found.values()} == {UNKNOWN}
    assert found["new"].because == f"new.py is not tracked by git in {tmp_path / 'ours'}"
    assert "has no commit yet" in found["empty"].because
    assert found["loose"].because == f"{tmp_path} is in no git repository"
    assert found["no git"].because == "git is not on PATH"


def test_a_kernel_by_its_file_has_one_name_in_every_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for checkout in ("a", "b"):
        repository(tmp_path / checkout)
    monkeypatch.chdir(tmp_path / "b" / "kernels")

    assert recorded_name(str(tmp_path / "a" / "kernels" / "mine.py")) == "kernels/mine.py:KERNEL"
    assert recorded_name("mine.py:KERNEL") == "kernels/mine.py:KERNEL"
    assert recorded_name("mine.py:OTHER") == "kernels/mine.py:OTHER"


def test_a_worktree_is_a_checkout_too(tmp_path: Path) -> None:
    repository(tmp_path / "a")
    git(tmp_path / "a", "worktree", "add", "-q", str(tmp_path / "tree"))

    assert recorded_name(str(tmp_path / "tree" / "kernels" / "mine.py")) == "kernels/mine.py:KERNEL"


def test_a_file_in_no_repository_keeps_its_path_and_an_installed_kernel_its_name(tmp_path: Path) -> None:
    assert recorded_name(str(tmp_path / "mine.py")) == f"{tmp_path / 'mine.py'}:KERNEL"
    assert recorded_name("qkv_proj_rope") == "qkv_proj_rope"
