"""Which Python files of a repository import which, read from their syntax (`ast`); nothing is run.

The scripts of a suite import their siblings by bare names, so a name is looked for beside the file first, then below
the profile's `imports`. Imports whose name is computed at run time are not seen.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class ImportGraph:
    """The imports of one tree of files."""

    importers: Mapping[str, Set[str]]  # file → those that import it directly
    unreadable: Set[str]  # files that cannot be parsed: their imports are not known

    @classmethod
    def of(cls, sources: Mapping[str, bytes], gone: Collection[str], places: Iterable[str]) -> ImportGraph:
        """The graph of `sources` (path → text). `gone` are deleted files, which may still be imported by name.

        `places` are directories in which an import is looked for, besides the importing file's own.
        """
        known, roots = set(sources) | set(gone), [PurePosixPath(each) for each in places]
        importers: dict[str, set[str]] = defaultdict(set)
        unreadable = set()
        for path, text in sources.items():
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                unreadable.add(path)  # it proves nothing: what only it would import counts as imported by nothing
                continue
            for imported in _imported(tree, PurePosixPath(path), roots):
                if imported in known:
                    importers[imported].add(path)
        return cls(dict(importers), unreadable)

    def importing(self, path: str) -> set[str]:
        """Return the files that import `path`, over any number of steps; what cannot be read is left out."""
        found: set[str] = set()
        waiting = list(self.importers.get(path, ()))
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting.extend(self.importers.get(each, ()))
        return found


def _imported(tree: ast.AST, source: PurePosixPath, roots: list[PurePosixPath]) -> Iterator[str]:
    """Paths that the imports of `source` may mean; most of them do not exist."""
    places = [source.parent, *roots]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _paths(places, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = [source.parents[min(node.level, len(source.parents)) - 1]] if node.level else places
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _paths(above, [*module, alias.name])
        elif isinstance(node, ast.Call) and (name := _name_in_call(node)):
            yield from _paths(places, name.split("."))


def _name_in_call(node: ast.Call) -> str:
    """The module of `importlib.import_module("…")` or `__import__("…")`; "" for any other call."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if called in ("import_module", "__import__") and isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return ""


def _paths(places: Iterable[PurePosixPath], parts: list[str]) -> Iterator[str]:
    """Every file that `import a.b.c` runs or may mean: `a/__init__.py`, `a/b.py`, …"""
    for place in places:
        for end in range(len(parts) + 1):
            below = place.joinpath(*parts[:end])
            if end:
                yield f"{below}.py"
            yield (below / "__init__.py").as_posix()
