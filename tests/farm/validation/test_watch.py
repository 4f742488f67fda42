"""A save is noticed once it is complete, whichever way an editor saves; nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farm.validation.local_run import watched_files
from farm.validation.watch import WatchedFiles


def rewritten(path: Path) -> None:
    path.write_text("b = 2\n")


def replaced(path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text("a = 1\n")  # as long as before, which a look at sizes alone would miss
    fresh.replace(path)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("save", [rewritten, replaced, removed])
def test_a_save_is_told_once(tmp_path: Path, save: Callable[[Path], None]) -> None:
    mine, other = tmp_path / "mine.py", tmp_path / "other.py"
    mine.write_text("a = 1\n")
    other.write_text("")
    files = WatchedFiles(lambda: [mine, other])

    assert files.changed() == set()
    save(mine)
    assert files.changed() == {mine}
    assert files.changed() == set()


def test_a_file_that_appears_is_a_save(tmp_path: Path) -> None:
    files = WatchedFiles(lambda: tmp_path.glob("*.py"))

    (tmp_path / "new.py").touch()

    assert files.changed() == {tmp_path / "new.py"}


def test_files_that_are_watched_only_now_are_no_save_and_others_still_are(tmp_path: Path) -> None:
    mine, late = tmp_path / "mine.py", tmp_path / "late.py"
    mine.touch()
    late.touch()
    watched = [mine]
    files = WatchedFiles(lambda: watched)

    watched.append(late)
    mine.write_text("a = 1\n")
    files.adopt()

    assert files.changed() == {mine}


def test_a_save_of_several_steps_is_waited_for_to_its_end(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    files = WatchedFiles(lambda: [first, second])
    steps: Iterator[Callable[[], None]] = iter([lambda: None, first.touch, second.touch, lambda: None])

    changed = files.wait(lambda seconds: next(steps)())

    assert changed == {first, second}
    assert next(steps, None) is None, "it looked once more after the last change, and no more"


def test_the_files_of_a_kernel_are_its_own_and_the_tables_beside_them(tmp_path: Path) -> None:
    for name in ("mine.py", "neighbour.py", "budgets.toml", "notes.md"):
        (tmp_path / name).touch()
    mine = tmp_path / "mine.py"

    assert watched_files(f"{mine}:KERNEL", []) == {mine, tmp_path / "budgets.toml"}
    assert watched_files("installed", [mine]) == {mine, tmp_path / "budgets.toml"}
    assert watched_files("installed", []) == set()


def test_of_a_package_all_modules_and_tables_are_watched(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "parts").mkdir(parents=True)
    names = ("__init__.py", "program.py", "tunings.toml", "parts/stage.py")
    for name in names:
        (package / name).touch()
    (package / "notes.md").touch()

    assert watched_files("installed", [package / "program.py"]) == {package / name for name in names}
