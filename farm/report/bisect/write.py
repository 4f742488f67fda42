"""Puts a bisect's reports on disk, each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from farm.atomic_file import write_whole
from farm.model.bisect import BisectRecord
from farm.report.bisect import json_dump, markdown

JSON, MARKDOWN = "bisect.json", "bisect.md"


def write_bisect(record: BisectRecord, directory: Path) -> None:
    """Write both into the bisect's own `directory`, the record first. Raises `ReportWriteError`."""
    write_whole(directory / JSON, json_dump.write(record))
    write_whole(directory / MARKDOWN, markdown.page(record))
