"""Sees modules as they are loaded, however and whenever the program imports them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Finder:
    """The first of `sys.meta_path`. Watched modules are found and loaded as ever, then shown to `loaded`."""

    def __init__(self, watched: Collection[str], loaded: Callable[[ModuleType], None]) -> None:
        self.watched = watched
        self.loaded = loaded
        self.finding: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return what the other finders find for a watched module; None for all others."""
        if name not in self.watched or name in self.finding:
            return None
        self.finding.add(name)
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find(name, path, target) if finder is not self and find else None
                if spec is not None:
                    self._hook(spec.loader)
                    return spec
        finally:
            self.finding.discard(name)
        return None

    def _hook(self, loader: Any) -> None:
        """Have `loader` call `loaded` after it has executed the module, once."""
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            self.loaded(module)

        loader.exec_module = exec_module
