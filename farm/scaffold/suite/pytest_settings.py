"""How a repository has set up pytest: where its tests are, and which options its conftest.py adds."""

from __future__ import annotations

import ast
import configparser
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_INI = (("pytest.ini", "pytest"), ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest"))


def added_options(tree: ast.AST) -> set[str]:
    """Return the options that calls of `addoption` in `tree` add."""
    return {
        each.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "addoption"
        for each in node.args
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value.startswith("--")
    }


def globs(root: Path) -> tuple[str, ...]:
    """Return globs of the test files, as `testpaths` and `python_files` say; none where neither is set."""
    settings = _settings(root)
    paths, names = settings.get("testpaths", []), settings.get("python_files", [])
    if not paths and not names:
        return ()
    inside = [each.strip("/") for each in paths if not each.startswith("/") and ".." not in Path(each).parts]
    named = [each for each in names if "/" not in each and "." in each] or ["test_*.py"]
    return tuple(
        f"{path}/**/{name}" if path not in ("", ".") else f"**/{name}" for path in inside or [""] for name in named
    )


def _settings(root: Path) -> dict[str, list[str]]:
    """The first configuration that has any, as pytest looks for them."""
    for name, section in _INI:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string((root / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        if parser.has_section(section):
            return {key: value.split() for key, value in parser.items(section)}
    try:
        content: Any = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        table = content["tool"]["pytest"]["ini_options"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return {}
    found = table.items() if isinstance(table, dict) else ()
    return {key: value.split() if isinstance(value, str) else _texts(value) for key, value in found}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
