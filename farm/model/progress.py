"""What a run's own process says about a run that goes on, and how others read it: `progress.json` in its directory.

Measurements are in the store. This file is written at most once a second, and losing it loses nothing.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from jobs.records import Record

NAME = "progress.json"


class Progress(Record):
    """How far a run is, as its own process sees it."""

    extra: int  # trials planned beyond what was asked for
    stages: dict[str, str]  # device → what it was doing last, one word or two


def read(directory: Path) -> Progress | None:
    """Return what the run's process wrote last; None where its files are not here or nothing is written yet."""
    try:
        return Progress.model_validate_json((directory / NAME).read_bytes())
    except (OSError, ValidationError):
        return None
