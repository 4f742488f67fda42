"""Wheel and source distribution as a user gets them: complete, and at work from where they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement

from tools.closure import EXTRAS

ROOT = Path(__file__).parents[1]
PACKAGES = ("kernel", "jobs", "farm", "ci")
# Read by people and by other programs, out of the source distribution or the repository.
NOT_SHIPPED = ("ci/action/", "ci/deploy/", "ci/snippets/")


def tracked(*below: str) -> set[str]:
    told = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--", *below], capture_output=True, text=True, check=True
    )
    return {path for path in told.stdout.split("\0") if path and (ROOT / path).is_file()}


def shipped_requirements() -> list[str]:
    """Of the base and of the extras for users."""
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(line for each in EXTRAS for line in extras[each])]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions; the wheel is made from the source distribution, so that one is complete too."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; what it depends on is lent by this one, what is editable here is not."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = environment / "lib" / version / "site-packages"
    (own / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
        env=clean(),
    )
    assert done.returncode == 0, done.stderr
    return environment


def clean(**more: str) -> dict[str, str]:
    """This process's environment without the checkout in it."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**inherited, **more}


def run(program: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=False, cwd="/", env=clean(**environment)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())

    wanted = {path for path in tracked(*PACKAGES) if not path.startswith(NOT_SHIPPED)}

    assert wanted - shipped == set()
    assert {"farm/py.typed", "farm/store/migrations/script.py.mako", "kernel/qkv_proj_rope/budgets.toml"} <= shipped


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_source_distribution_holds_what_tests_it_and_deploys_from_it(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}

    wanted = tracked("docs", "tests", "tools", "constraints", "ci/deploy", "benchmarks", *PACKAGES)

    assert {path for path in wanted - held if not path.endswith("__pycache__")} == set()
    assert {"LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md", "Makefile", "pyproject.toml"} <= held


def test_the_wheel_declares_what_the_project_does(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(opened.read(name).decode())
        entry_points = opened.read(name.replace("METADATA", "entry_points.txt")).decode()
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()["project"]

    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Classifier", [])) == set(project["classifiers"])
    assert metadata["Keywords"].split(",") == sorted(project["keywords"])
    needed = {str(Requirement(line)) for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert needed == {str(Requirement(line)) for line in project["dependencies"]}
    for group, entries in project["entry-points"].items():
        assert f"[{group}]" in entry_points
        assert all(f"{name} = {value}" in entry_points for name, value in entries.items())


@pytest.mark.parametrize("line", shipped_requirements())
def test_every_dependency_has_a_lower_and_an_upper_bound(line: str) -> None:
    operators = {bound.operator for bound in Requirement(line).specifier}

    assert "==" in operators or {">=", "<"} <= operators or Requirement(line).marker, line


def test_it_runs_from_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    python, program = installed / "bin" / "python", installed / "bin" / "farm"

    where = run(
        python, "-c", "import farm, ci, jobs, kernel.qkv_proj_rope as k; print(farm.__file__, k.KERNEL.budgets())"
    )
    listed = run(program, "kernel", "list")
    runs = run(program, "runs", "--json", FARM_HOME=str(tmp_path))

    assert all(str(installed) in path for path in where.split())
    assert "qkv_proj_rope" in listed
    assert runs.strip() == "[]"  # the store was made, so its migrations are there
    assert "Usage: farm" in run(program, "--help")
