"""Python imports this module at its start; it begins the farm's own work and then makes way for the machine's own.

The directory it lies in is first on `PYTHONPATH`, and holds the package `farm_wrapper` as well.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path


def _make_way() -> None:
    """Import the `sitecustomize` that there would be without this one, which then stands in its place."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [each for each in sys.path if not each or Path(each).resolve() != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


if "FARM_DIGESTS" in os.environ:
    with contextlib.suppress(Exception):  # then there are no digests, which the farm sees
        importlib.import_module("farm_wrapper").begin()
    _make_way()
