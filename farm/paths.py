"""Where the farm keeps what outlives a run: the store and the build cache, below `$FARM_HOME`."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """`$FARM_HOME`, or the platform's per-user data directory for `farm`. Not created here."""
    override = os.environ.get("FARM_HOME")
    return Path(override).expanduser().resolve() if override else Path(platformdirs.user_data_dir("farm"))


def store_url() -> str:
    """SQLAlchemy URL of the store: `$FARM_STORE`, or a SQLite file in `home()`."""
    return os.environ.get("FARM_STORE") or f"sqlite:///{home() / 'store.sqlite'}"


def cache() -> Path:
    """Builds, the host calculator and goldens, by content address. Safe to delete."""
    return home() / "cache"
