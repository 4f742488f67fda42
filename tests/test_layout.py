"""The shape of the source: which way imports go, and how long a file may grow. `make lint` checks the first as well."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 400  # lines; past this a file holds more than one thing
PACKAGES = ("kernel", "jobs", "farm", "ci", "tools")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOOSE = {  # files that lie directly in a package, and not in one of its own packages
    "farm": {"__init__", "__main__", "api", "doctor", "errors", "paths", "text", "timestamps", "atomic_file"},
    "ci": {"__init__"},
}
# Imports each module of the service in a process that has imported no other of them. It is forked from one that has
# what takes most of the time, and is shown to have neither Ray nor torch.
FRESH = """
import contextlib, importlib, json, os, sys
for name in '''fastapi githubkit.webhooks httpx uvicorn alembic rich.console prometheus_client psutil oauthlib.oauth2
    sqlalchemy.dialects.sqlite sqlalchemy.dialects.postgresql apscheduler.triggers.cron
    farm.store.run_store farm.report.write farm.report.sweep.write farm.model.sweep'''.split():
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
heavy = lambda: sorted({"ray", "torch"} & set(sys.modules))
assert not heavy() and "ci" not in sys.modules
found = {}
for name in sys.argv[1:]:
    ours, theirs = os.pipe()
    if os.fork() == 0:
        try:
            importlib.import_module(name)
            answer = heavy()
        except BaseException as error:
            answer = [repr(error)]
        os.write(theirs, json.dumps(answer).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        found[name] = json.loads(pipe.read() or '["no answer"]')
    os.wait()
print(json.dumps(found))
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


def test_no_module_of_the_service_loads_ray_or_torch() -> None:
    files = sorted((ROOT / "ci").rglob("*.py"))
    modules = [str(path.relative_to(ROOT).with_suffix("")).replace("/", ".") for path in files]
    modules = [name.removesuffix(".__init__") for name in modules if not name.endswith(".migrations.env")]

    done = subprocess.run([sys.executable, "-c", FRESH, *modules], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert len(modules) > 80
    assert {name: heavy for name, heavy in json.loads(done.stdout).items() if heavy} == {}
