"""Which files of a repository a run takes, by pattern and by what a change touches."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.harness.changed_files import changed, touched
from farm.harness.file_selection import discover
from tests.fakes.harness import ROOT, shipped

PROFILE = shipped()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository of scripts that import their siblings, a package at its root, and one another."""
    files = {
        "models/leaf.py": "import json\n",
        "models/middle.py": "from leaf import x\n",
        "models/top.py": "import middle as m\nif __name__ == '__main__': pass\n",
        "models/alone.py": "if __name__ == '__main__': pass\n",
        "models/lazy.py": "import importlib\nimportlib.import_module('leaf')\n",
        "other/leaf.py": "",
        "other/uses.py": "from leaf import x\n",
        "golden/__init__.py": "from .runner import run\n",
        "golden/runner.py": "",
        "examples/first.py": "from golden import run\n",
        "examples/deep/second.py": "import golden.runner\n",
        "docs/index.md": "",
        "kernels/add.cpp": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    return tmp_path


def git(where: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(where), *identity, *arguments], check=True, capture_output=True)


def commit(where: Path) -> None:
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "state")


def concerned(repository: Path, *changes: str) -> set[str]:
    files = [path.relative_to(repository).as_posix() for path in repository.rglob("*.py")]
    return touched(files, changes, repository, PROFILE)[0]


def test_patterns_find_what_can_be_run_and_say_what_is_skipped() -> None:
    found = discover(ROOT, ["models/**/*.py"], PROFILE, "a2a3sim")

    assert "models/passes.py" in found.files
    assert list(found.skipped) == ["models/no_sim.py"]
    assert not {"models/shared.py", "models/broken_draft.py"} & set(found.files)
    assert found.parts == 1
    assert "models/no_sim.py" in discover(ROOT, ["models/**/*.py"], PROFILE, "a2a3").files


def test_without_a_pattern_the_profiles_own_are_taken() -> None:
    assert discover(ROOT, [], PROFILE, "a2a3sim") == discover(ROOT, ["models/*.py"], PROFILE, "a2a3sim")


def test_an_excluded_file_is_taken_where_it_is_named() -> None:
    assert list(discover(ROOT, ["models/broken_draft.py"], PROFILE, "a2a3sim").files) == ["models/broken_draft.py"]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("modles/*.py", "no file below .* matches 'modles/\\*.py'; quote the pattern"),
        ("../*.py", "leaves the repository"),
        ("/etc/*", "leaves the repository"),
        ("models/**.py", "cannot be used|no file below"),
        ("", "cannot be used"),
        ("models/shared.py", "1 files match below .*, none of them can be run"),
    ],
)
def test_a_pattern_that_gives_nothing_to_run_is_one_line(pattern: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        discover(ROOT, [pattern], PROFILE, "a2a3sim")

    assert "\n" not in str(caught.value)


def test_a_change_concerns_whatever_imports_it_over_any_number_of_steps(repository: Path) -> None:
    assert concerned(repository, "models/leaf.py") == {
        "models/leaf.py",
        "models/middle.py",
        "models/top.py",
        "models/lazy.py",
    }
    assert concerned(repository, "models/top.py") == {"models/top.py"}


def test_siblings_of_the_same_name_elsewhere_are_not_meant(repository: Path) -> None:
    assert concerned(repository, "other/leaf.py") == {"other/leaf.py", "other/uses.py"}


def test_a_package_at_the_root_concerns_its_users_also_through_its_init(repository: Path) -> None:
    users = {"golden/__init__.py", "golden/runner.py", "examples/first.py", "examples/deep/second.py"}

    assert concerned(repository, "golden/runner.py") == users


def test_a_deleted_file_concerns_those_that_still_import_it(repository: Path) -> None:
    (repository / "models/leaf.py").unlink()

    assert "models/top.py" in concerned(repository, "models/leaf.py")


def test_a_file_that_cannot_be_parsed_is_run_and_so_are_its_users(repository: Path) -> None:
    (repository / "models/leaf.py").write_text("def (")

    assert concerned(repository, "models/alone.py") >= {"models/alone.py", "models/leaf.py", "models/top.py"}


def test_what_is_no_python_concerns_everything_but_what_the_profile_ignores_nothing(repository: Path) -> None:
    files = ["models/top.py", "models/alone.py"]

    assert touched(files, ["kernels/add.cpp"], repository, PROFILE) == (
        set(files),
        "all 2 files: kernels/add.cpp is no Python, so it may concern any",
    )
    assert touched(files, ["docs/index.md", "README.md"], repository, PROFILE)[0] == set()


def test_git_tells_what_differs_from_the_merge_base_in_commits_work_tree_and_new_files(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "topic")
    (repository / "models/leaf.py").write_text("x = 1\n")
    commit(repository)
    git(repository, "checkout", "-q", "main")
    (repository / "models/alone.py").write_text("later = 1\n")
    commit(repository)
    git(repository, "checkout", "-q", "topic")
    (repository / "models/top.py").write_text("y = 1\n")
    (repository / "models/fresh name.py").write_text("")

    assert changed(repository, "main") == ["models/fresh name.py", "models/leaf.py", "models/top.py"]


@pytest.mark.parametrize("reference", ["nowhere", "--output=x", ""])
def test_a_reference_that_git_does_not_know_is_one_line(repository: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="--changed-since") as caught:
        changed(repository, reference)

    assert "\n" not in str(caught.value)


def test_a_directory_that_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a git repository"):
        changed(tmp_path, "main")
