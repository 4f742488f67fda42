"""Fixtures for tests that compile with PyPTO."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest


@pytest.fixture(scope="session")
def sim_cache() -> Path:
    """A cache that outlives the tests, because PyPTO's calculator takes 20 s and more to build."""
    return Path(os.environ.get("FARM_TEST_CACHE") or platformdirs.user_cache_path("farm-tests"))
