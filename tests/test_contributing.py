"""CONTRIBUTING.md is true: its tables name what is there, and its two ways through the code can be followed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools import layers

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
WAYS = ("The way of one `farm run`", "The way of one webhook delivery")


def way(title: str) -> list[str]:
    """The files of a numbered list, in their order."""
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)


def imported_by(file: str) -> set[str]:
    """The files that `file` imports, wherever in it, as paths."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    found |= imported_by_name(file)
    return {f"{name.replace('.', '/')}.py" for name in found}


def imported_by_name(file: str) -> set[str]:
    """The modules that `import_module(f"package.{name}")` may import: the file has the names as texts."""
    source = (ROOT / file).read_text()
    packages = re.findall(r'import_module\(f"([\w.]+)\.\{', source)
    names = re.findall(r'"(\w+)"', source)
    return {f"{package}.{name}" for package in packages for name in names}


@pytest.mark.parametrize("title", WAYS)
def test_a_way_can_be_followed_from_its_first_file(title: str) -> None:
    files = way(title)
    reached = {files[0]}

    for file in files:
        assert file in reached, f"{file} is imported by no file before it"
        reached |= imported_by(file)


@pytest.mark.parametrize("title", WAYS)
def test_a_way_names_each_file_once(title: str) -> None:
    files = way(title)

    assert len(files) > 15
    assert len(files) == len(set(files))


def test_what_is_to_be_registered_is_where_the_table_says() -> None:
    places = re.findall(r"\| `([\w.]+)` in `([\w/]+\.py)` \|$", TEXT, re.MULTILINE)

    assert len(places) == 5
    assert [f"{name} in {file}" for name, file in places if name not in (ROOT / file).read_text()] == []


def test_what_is_to_be_written_exists() -> None:
    classes = re.findall(r"(?:class|object) of `([\w.]+)\.(\w+)`", TEXT)

    assert len(classes) == 6
    missing = [name for module, name in classes if f"class {name}" not in source(module)]
    assert missing == []


def source(module: str) -> str:
    return (ROOT / f"{module.replace('.', '/')}.py").read_text()


def test_every_file_and_directory_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:kernel|jobs|farm|ci|tests|tools|docs|constraints)/[\w./-]+)`", TEXT))
    placeholders = {"kernel/harness/profiles/NAME.toml", "constraints/pyXY.txt"}

    assert [path for path in sorted(named - placeholders) if not (ROOT / path).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"make ([a-z-]+)", TEXT))
    makefile = (ROOT / "Makefile").read_text()

    assert [target for target in sorted(targets) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_the_page_of_the_layers_is_that_of_the_contracts() -> None:
    written = (ROOT / "docs" / "layers.md").read_text()

    assert written == layers.page(), "python -m tools.layers > docs/layers.md"


def test_every_package_of_farm_and_ci_has_a_layer() -> None:
    page = layers.page()
    packages = [path.parent for name in ("farm", "ci") for path in (ROOT / name).glob("*/__init__.py")]

    assert [str(path) for path in packages if f"`{path.parent.name}.{path.name}`" not in page] == []
