"""Set-up on a machine that lacks something, and that nothing is done twice. `make` itself is tried by `.ci/run`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import set_up
from tools.set_up import ROOT, SUPPORTED, SetUpError

CPU_SET = ["torch", "numpy", "sympy"]
CUDA_SET = ["torch", "nvidia-cudnn-cu13", "cuda-toolkit", "triton"]


class FakePip:
    """Stands in for pip: resolves to `resolved`, and fails for every argument that contains `fails_for`."""

    def __init__(self, resolved: list[str], fails_for: str = "never") -> None:
        self.resolved = resolved
        self.fails_for = fails_for
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.calls.append(arguments)
        if any(self.fails_for in argument for argument in arguments):
            return subprocess.CompletedProcess(arguments, 1, "", "ERROR: no such thing")
        report = {"install": [{"metadata": {"name": name}} for name in self.resolved]}
        return subprocess.CompletedProcess(arguments, 0, json.dumps(report), "")

    @property
    def last_install(self) -> tuple[str, ...]:
        return next(call for call in reversed(self.calls) if "--dry-run" not in call)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with nothing set up, and an environment that asks for nothing."""
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints" / "py311.txt").write_text("# pinned\npip==26.3\ntorch==2.13.0\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    monkeypatch.setattr(set_up, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(set_up, "STAMP", tmp_path / ".venv" / "set-up.json")
    for name in ("PYTHON", "FARM_TORCH", "TORCH_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(set_up, "torch_is_installed", lambda version: False)
    return tmp_path


def use_pip(monkeypatch: pytest.MonkeyPatch, pip: FakePip) -> FakePip:
    monkeypatch.setattr(set_up, "pip", pip)
    return pip


def finish(project: Path, dev: bool) -> None:
    """Leave the project as a finished set-up with Python 3.11.7 does."""
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").touch()
    (project / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.7\n")
    (project / ".venv" / "set-up.json").write_text(
        json.dumps({"fingerprint": set_up.fingerprint((3, 11, 7)), "dev": dev})
    )


def test_missing_prerequisites_are_named_with_their_debian_packages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.set_up"]

    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == ("set-up: not found: git, g++, cmake, make; on Debian: apt-get install git g++ cmake make\n")


def test_a_python_too_new_is_refused_with_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "python_version", lambda python: (3, 13, 0) if python == sys.executable else None)

    with pytest.raises(SetUpError, match=r"PyPTO 0\.2\.0 has wheels for 3\.10 to 3\.12.*PYTHON="):
        set_up.find_python()


def test_a_supported_python_on_the_path_serves_where_the_default_is_too_new(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {sys.executable: (3, 13, 0), "python3.11": (3, 11, 2)}
    monkeypatch.setattr(set_up, "python_version", versions.get)

    assert set_up.find_python() == "python3.11"


@pytest.mark.parametrize(("version", "says"), [(None, "no Python interpreter"), ((3, 9, 2), "is 3.9.2")])
def test_a_chosen_python_that_will_not_do_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int] | None, says: str
) -> None:
    monkeypatch.setenv("PYTHON", "mypython")
    monkeypatch.setattr(set_up, "python_version", lambda python: version)

    with pytest.raises(SetUpError, match=f"PYTHON=mypython.*{says}"):
        set_up.find_python()


def test_a_stub_that_is_no_interpreter_has_no_version(tmp_path: Path) -> None:
    stub = tmp_path / "python3.11"
    stub.write_text("#!/bin/sh\necho 'python3.11: command not found' >&2\nexit 127\n")
    stub.chmod(0o755)

    assert set_up.python_version(str(stub)) is None
    assert set_up.python_version(str(tmp_path / "absent")) is None
    assert set_up.python_version(sys.executable) == sys.version_info[:3]


def test_nothing_is_done_twice(project: Path) -> None:
    finish(project, dev=True)

    assert set_up.is_current(dev=True)
    assert set_up.is_current(dev=False)


def test_the_tests_need_more_than_a_run_does(project: Path) -> None:
    finish(project, dev=False)

    assert set_up.is_current(dev=False)
    assert not set_up.is_current(dev=True)


@pytest.mark.parametrize("path", ["pyproject.toml", "constraints/py311.txt"])
def test_a_changed_requirement_is_installed(project: Path, path: str) -> None:
    finish(project, dev=True)

    (project / path).write_text("changed\n")

    assert not set_up.is_current(dev=False)


def test_another_python_is_installed_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(project, dev=True)
    monkeypatch.setenv("PYTHON", "python3.12")
    monkeypatch.setattr(set_up, "python_version", lambda python: (3, 12, 1))

    assert not set_up.is_current(dev=False)


def test_an_interrupted_set_up_is_not_taken_for_finished(project: Path) -> None:
    finish(project, dev=True)
    (project / ".venv" / "set-up.json").unlink()

    assert not set_up.is_current(dev=False)


def test_torch_comes_from_where_pip_looks_when_that_is_no_cuda_build(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = use_pip(monkeypatch, FakePip(CPU_SET))

    set_up.install_torch(project / "constraints" / "py311.txt")

    assert pip.last_install[-1] == "torch==2.13.0"
    assert not any(argument.startswith("http") for argument in pip.last_install)


def test_torch_comes_from_the_cpu_index_where_pip_would_bring_cuda(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = use_pip(monkeypatch, FakePip(CUDA_SET))

    set_up.install_torch(project / "constraints" / "py311.txt")

    assert pip.last_install[-2:] == (set_up.TORCH_CPU_INDEX, "torch==2.13.0+cpu")


def test_the_cpu_index_can_be_replaced(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = use_pip(monkeypatch, FakePip(CUDA_SET))
    monkeypatch.setenv("TORCH_INDEX_URL", "https://mirror.example/cpu")

    set_up.install_torch(project / "constraints" / "py311.txt")

    assert "https://mirror.example/cpu" in pip.last_install


def test_without_the_cpu_index_set_up_stops_and_says_how_to_allow_cuda(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = use_pip(monkeypatch, FakePip(CUDA_SET, fails_for="+cpu"))

    with pytest.raises(SetUpError, match="FARM_TORCH=any"):
        set_up.install_torch(project / "constraints" / "py311.txt")

    assert [call for call in pip.calls if call[-1] == "torch==2.13.0" and "--dry-run" not in call] == []


def test_cuda_is_installed_where_it_is_allowed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = use_pip(monkeypatch, FakePip(CUDA_SET))
    monkeypatch.setenv("FARM_TORCH", "any")

    set_up.install_torch(project / "constraints" / "py311.txt")

    assert pip.last_install[-1] == "torch==2.13.0"


def test_torch_that_pip_cannot_find_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_pip(monkeypatch, FakePip(CPU_SET, fails_for="torch"))

    with pytest.raises(SetUpError, match=r"pip finds no torch==2\.13\.0: ERROR: no such thing"):
        set_up.install_torch(project / "constraints" / "py311.txt")


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_requirement_is_pinned_for_every_python(version: tuple[int, int]) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = re.findall(r'^    "([A-Za-z0-9_.-]+)(?:\[[a-z]+\])?[=<>]=', text, re.MULTILINE)
    wanted = {name.lower() for name in block if name != "tomli" or version < (3, 11)}

    pins = {line.partition("==")[0] for line in set_up.constraints_file(version).read_text().splitlines()}

    assert {"pypto", "torch", "pytest"} <= wanted
    assert wanted - pins == set()


@pytest.mark.parametrize("version", SUPPORTED)
def test_no_constraint_asks_for_cuda_or_for_one_build(version: tuple[int, int]) -> None:
    pins = set_up.constraints_file(version).read_text().splitlines()[1:]

    assert [pin for pin in pins if set_up.CUDA_PACKAGE.match(pin) or "+" in pin] == []


def test_make_help_names_the_two_commands() -> None:
    environment = {**os.environ, "MAKEFLAGS": ""}
    done = subprocess.run(["make", "help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)

    assert re.search(r"make run +\S", done.stdout)
    assert re.search(r"make test +\S", done.stdout)
