"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def sim_cache() -> Path:
    """A cache that outlives the tests, because PyPTO's calculator takes 20 s and more to build."""
    return Path(os.environ.get("FARM_TEST_CACHE") or platformdirs.user_cache_path("farm-tests"))
