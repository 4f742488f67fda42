"""Whose code a process runs, held to what it must never be."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest

from farm.process import installation
from farm.process.installation import InstallationError


def distribution(directory: Path, name: str, *, record: str = "", top_level: str = "") -> None:
    found = directory / f"{name}-1.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, text in (("RECORD", record), ("top_level.txt", top_level)):
        if text:
            (found / file).write_text(text)


def refusal(there: object) -> str:
    """Why a worker that reports `there` is refused; empty where it is taken."""
    try:
        installation.require_same(there, "node/0")
    except InstallationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("record", "top_level"),
    [
        ("jobs/__init__.py,sha256=0,0\njobs-1.0.dist-info/METADATA,,\n", ""),
        ("x.dist-info/METADATA,,\nkernel.py,sha256=0,0\n", ""),
        ("", "other\nci\n"),
    ],
)
def test_another_distribution_with_one_of_the_names_is_named(
    record: str, top_level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "Some_Jobs", record=record, top_level=top_level)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    with pytest.raises(InstallationError, match=r"'some-jobs' also installs .* pip uninstall some-jobs"):
        installation.require_one()


def test_a_distribution_whose_names_only_begin_alike_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, "kernels", record="kernels/__init__.py,,\nci_tools/a.py,,\nsrc/farm/a.py,,\njobs2.py,,\n")
    distribution(tmp_path, "looked_at_later", record="farm/a.py,,\n")  # by name: the first one found is the one named
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    with pytest.raises(InstallationError, match="'looked-at-later' also installs"):
        installation.require_one()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"root": "/elsewhere"}, "runs the farm in /elsewhere"),
        ({"digest": "0" * 64}, "differs between node/0 and this process"),
        ({"strays": ("jobs.trial from /tmp/jobs/trial.py",)}, "loads jobs.trial from /tmp/jobs/trial.py"),
    ],
)
def test_a_worker_with_other_code_is_refused(change: dict[str, str], says: str) -> None:
    there = dataclasses.replace(installation.current(), **change)  # type: ignore[arg-type]

    assert says in refusal(there)


def test_a_worker_that_says_nothing_of_its_code_is_refused() -> None:
    assert "runs another release" in refusal(None)


def test_a_worker_with_the_same_code_is_taken() -> None:
    reported = pickle.loads(pickle.dumps(installation.current()))  # it comes from another process

    assert refusal(reported) == ""
    assert refusal(dataclasses.replace(reported, digest="0" * 64)) != ""


def test_a_module_loaded_from_elsewhere_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stranger = types.ModuleType("kernel.tolerance_of_mine")
    stranger.__file__ = str(tmp_path / "tolerance_of_mine.py")
    monkeypatch.setitem(sys.modules, "kernel.tolerance_of_mine", stranger)

    assert installation.current().strays == (f"kernel.tolerance_of_mine from {stranger.__file__}",)


def test_a_module_is_started_without_the_current_directory_on_its_path(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text("raise SystemExit('the wrong one')")

    done = subprocess.run(
        installation.module_command("json.tool", "--indent", "1", "-"),
        cwd=tmp_path,
        input='{"a": 1}',
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, '{\n "a": 1\n}\n'), done.stderr


def test_the_directories_of_workers_must_not_have_packages_of_these_names(tmp_path: Path) -> None:
    installation.require_not_in([str(tmp_path), str(installation.root())])
    (tmp_path / "farm.py").touch()

    with pytest.raises(InstallationError, match=f"Ray was started in {tmp_path}"):
        installation.require_not_in([str(tmp_path)])


def test_relative_and_empty_entries_of_pythonpath(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"PYTHONPATH": os.pathsep.join(["", "plug", "/opt/x", ""])}

    assert installation.absolute_python_path(given) == {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "plug"), "/opt/x"])
    }
    assert installation.absolute_python_path({}) == {}
