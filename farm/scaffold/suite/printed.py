"""What Python files print when they pass, and which functions of theirs compare tensors. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_PASS = re.compile(r"\b(?:PASS(?:ED)?|passed|SUCCESS)\b")
_OUTPUTS = ("outputs", "actual", "actual_outputs", "result", "results", "res", "out", "output")
_GOLDENS = ("golden", "goldens", "expected", "expect", "ref", "reference", "golden_outputs")
_COMPARES = re.compile(r"valid|compare|check|verify|assert|close", re.IGNORECASE)
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line that holds a word for "passed", as a format: texts, and None for each value between them."""

    parts: tuple[str | None, ...]

    @property
    def before(self) -> tuple[str | None, ...]:
        """The parts up to the word, the last of them cut before it."""
        for place, part in enumerate(self.parts):
            if part is not None and (word := _PASS.search(part)):
                return (*self.parts[:place], part[: word.start()])
        return self.parts

    @property
    def word(self) -> str:
        """The word itself."""
        return next(word[0] for part in self.parts if part is not None and (word := _PASS.search(part)))

    @property
    def validates_nothing(self) -> bool:
        """Whether it says that something was skipped."""
        return any(part is not None and "skipped" in part for part in self.parts)


@dataclass(frozen=True, slots=True)
class ComparingFunction:
    """A function that gets outputs and what is expected of them."""

    function: str  # "golden.validation:validate_golden"
    argument: str


def lines(tree: ast.AST) -> Iterator[PrintedLine]:
    """Return what `print` and calls of loggers in `tree` write where it says that something passed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _writes(node.func):
            parts = _parts(node.args[0])
            if any(part is not None and _PASS.search(part) for part in parts):
                yield PrintedLine(parts)


def comparisons(path: str, tree: ast.Module) -> list[ComparingFunction]:
    """Return the functions of a module that compare outputs, by their names and arguments."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _COMPARES.search(node.name) and not node.name.startswith("_"):
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
            output = next((each for each in names if each in _OUTPUTS), "")
            if output and any(each in _GOLDENS for each in names) and module.replace(".", "").isidentifier():
                found.append(ComparingFunction(f"{module}:{node.name}", output))
    return found


def _writes(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "print"
    return isinstance(function, ast.Attribute) and function.attr in ("info", "write")


def _parts(value: ast.expr) -> tuple[str | None, ...]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return (_first_line(value.value),)
    if isinstance(value, ast.JoinedStr):
        return tuple(
            _first_line(part.value) if isinstance(part, ast.Constant) and isinstance(part.value, str) else None
            for part in value.values
        )
    return ()


def _first_line(text: str) -> str:
    return text.strip("\n").split("\n")[0][:_MOST_CHARACTERS]
