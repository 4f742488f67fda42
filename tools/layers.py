"""Draw the layers that import-linter holds, for docs/layers.md: python3 -m tools.layers > docs/layers.md

The layers come from the contracts in pyproject.toml, and what each package is from its docstring, so neither can differ
from the code. `tests/test_contributing.py` holds the page to this script.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent

_HEADING = """\
# Layers

A package may import the packages below it, and not those above it or beside it. import-linter checks this, indirect
imports included (`make lint`). `python -m tools.layers > docs/layers.md` writes this page from the contracts in
pyproject.toml.
"""
_TITLES = {
    "ci -> farm -> jobs -> kernel": "The four packages",
    "the packages of farm": "Inside `farm`",
    "the packages of ci": "Inside `ci`",
}

Layers = Sequence[Sequence[str]]  # from the top; the modules of one layer may not import each other


def page() -> str:
    """Return docs/layers.md as it must be."""
    parts = [_HEADING]
    for title, layers in _contracts():
        parts += [f"## {title}\n", _diagram(layers), _table(layers)]
    return "\n".join(parts)


def _contracts() -> Iterator[tuple[str, Layers]]:
    """The contracts about layers, each with the title of its section."""
    tool: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    for contract in tool["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            layers = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
            yield _TITLES[contract["name"]], layers


def _diagram(layers: Layers) -> str:
    """A Mermaid flowchart, one box a layer."""
    boxes = [f'    l{number}["{" · ".join(layer)}"]' for number, layer in enumerate(layers)]
    arrows = [f"    l{number} --> l{number + 1}" for number in range(len(layers) - 1)]
    return "\n".join(["```mermaid", "flowchart TD", *boxes, *arrows, "```", ""])


def _table(layers: Layers) -> str:
    rows = [f"| `{name}` | {purpose(name)} |" for layer in layers for name in layer]
    return "\n".join(["| module | is |", "|---|---|", *rows, ""])


def purpose(module: str) -> str:
    """Return the first line of the docstring of `module`, without importing it."""
    place = ROOT.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    return docstring.split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page())
