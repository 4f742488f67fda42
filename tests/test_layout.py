"""The shape of the source: which way imports go, and how long a file may grow. `make lint` checks the first as well."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 400  # lines; past this a file holds more than one thing
PACKAGES = ("kernel", "jobs", "farm", "ci", "tools")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOOSE = {  # files that lie directly in a package, and not in one of its own packages
    "farm": {"__init__", "__main__", "api", "doctor", "errors", "extras", "paths", "text", "timestamps", "atomic_file"},
    "ci": {"__init__"},
}
# Imports every module of the service, and says after which of them something was loaded that none may load. What no
# module has loaded once all are there, none of them loads alone.
ALL_OF_THE_SERVICE = """
import importlib, json, sys
loaded = {}
for name in sys.argv[1:]:
    importlib.import_module(name)
    loaded.update({heavy: name for heavy in ("ray", "torch") if heavy in sys.modules and heavy not in loaded})
print(json.dumps(loaded))
"""


def test_imports_go_from_ci_to_farm_to_jobs_to_kernel() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_grows_beyond_one_idea() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_no_module_is_a_room_without_a_name() -> None:
    nameless = {"utils", "util", "helpers", "common", "core", "base", "misc", "manager"}

    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in nameless] == []


def test_every_class_name_stands_in_one_module() -> None:
    modules: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                modules.setdefault(node.name, []).append(str(path.relative_to(ROOT)))

    assert {name: found for name, found in modules.items() if len(found) > 1} == {}


@pytest.mark.parametrize("package", LOOSE)
def test_every_other_file_lies_in_a_package_with_a_purpose(package: str) -> None:
    assert {path.stem for path in (ROOT / package).glob("*.py")} - LOOSE[package] == set()


def modules_of_the_service() -> dict[str, Path]:
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "ci").rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in sorted(names.items())}


def test_no_module_of_the_service_loads_ray_or_torch() -> None:
    modules = [name for name in modules_of_the_service() if not name.endswith(".migrations.env")]

    done = subprocess.run(
        [sys.executable, "-c", ALL_OF_THE_SERVICE, *modules], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert len(modules) > 80
    assert json.loads(done.stdout) == {}


def test_modules_of_the_service_import_each_other_in_no_circle() -> None:
    """So that each can be imported first."""
    modules = modules_of_the_service()
    needs: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = {imported for node in ast.parse(path.read_text()).body for imported in imports(node)}
        needs[name] = (found & set(modules)) - {name}

    order = tuple(TopologicalSorter(needs).static_order())  # raises CycleError with the modules of the circle

    assert set(order) == set(modules) and sum(map(len, needs.values())) > 200


def imports(node: ast.stmt) -> set[str]:
    """Modules that a statement may import; what is no module is sorted out by who asks."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return set()
