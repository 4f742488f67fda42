"""What is not installed is named with the extra that brings it, in one line; the base needs no extra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement

from farm.errors import InfrastructureError
from farm.execution import preflight
from farm.process.extras import EXTRA_OF, MissingExtraError, named
from farm.store.engine import open_engine
from farm.testing.suite import run
from kernel.errors import PlatformUnavailableError
from kernel.platforms import pypto_private
from kernel.platforms.a2a3sim import A2A3Sim

PROJECT = tomlkit.parse((Path(__file__).parents[3] / "pyproject.toml").read_text()).unwrap()["project"]
HIDING = "import sys\nfor module in {hidden}: sys.modules[module] = None\n"  # then importing it raises


def hidden(modules: list[str], code: str) -> subprocess.CompletedProcess[str]:
    program = HIDING.format(hidden=json.dumps(modules)) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("module", "extra"), EXTRA_OF.items())
def test_a_missing_package_is_named_with_its_extra(module: str, extra: str) -> None:
    found = named(ModuleNotFoundError("No module", name=f"{module}.deep.inside"))

    assert isinstance(found, MissingExtraError)
    assert (found.module, found.extra) == (module, extra)
    assert f"'{module}'" in str(found) and f"[{extra}]" in str(found) and "\n" not in str(found)


def test_any_other_error_stays_what_it_is() -> None:
    errors = [ModuleNotFoundError("No module", name="numpy"), ImportError("broken"), InfrastructureError("away")]

    assert [named(each) is each for each in errors] == [True] * 3


def test_every_extra_that_is_named_exists_and_is_no_part_of_the_base() -> None:
    extras = PROJECT["optional-dependencies"]
    base = {Requirement(each).name for each in PROJECT["dependencies"]}

    assert set(EXTRA_OF.values()) <= set(extras)
    for extra in set(EXTRA_OF.values()):
        assert not base & {Requirement(each).name for each in extras[extra]}


def test_every_command_of_the_base_can_be_loaded_without_any_extra() -> None:
    code = (
        "import importlib\nfrom farm.cli.app import OWN\nimport farm, kernel.registry, farm.api\n"
        "for name in OWN: importlib.import_module(f'farm.cli.{name}')\nprint('loaded')"
    )
    done = hidden(sorted(EXTRA_OF), code)

    assert done.stdout == "loaded\n", done.stderr[-800:]


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("fastapi", ["serve", "--config", "none.toml"], "service"),
        ("oauthlib", ["serve", "--config", "none.toml"], "service"),
        ("optuna", ["tune", "qkv_proj_rope", "--case", "tiny"], "tune"),
    ],
)
def test_a_command_says_in_one_line_which_extra_it_lacks(module: str, arguments: list[str], extra: str) -> None:
    done = hidden([module], f"from farm.cli.app import main\nmain({json.dumps(arguments)})")

    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert f"'{module}'" in line and f"its extra '{extra}'" in line


@pytest.mark.parametrize("module", ["pytest", "xdist"])
def test_a_suite_without_pytest_names_the_extra(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtraError, match="extra 'test'"):
        run([], 2, [], tmp_path / "tests.xml", quiet=True)


def test_a_store_on_postgresql_without_its_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(MissingExtraError, match="extra 'postgres'"):
        open_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", print)


@pytest.mark.parametrize(
    ("python", "said"), [((3, 12), "extra 'pypto', which brings pypto 0.2.0$"), ((3, 13), "with Python 3.12 or older$")]
)
def test_a_platform_without_pypto_names_the_extra_in_one_line(
    python: tuple[int, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pypto_private, "installed_version", lambda: "")
    monkeypatch.setattr(sys, "version_info", (*python, 0))

    with pytest.raises(PlatformUnavailableError, match=said) as refused:
        preflight.require(A2A3Sim())

    assert "\n" not in str(refused.value)
