"""Puts a bisect's reports on disk, each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from farm.atomic_file import write_whole
from farm.model.bisect import BisectRecord
from farm.report.bisect import json_dump, junit, markdown

JSON, JUNIT, MARKDOWN = "bisect.json", "junit.xml", "bisect.md"


def write_bisect(record: BisectRecord, directory: Path) -> None:
    """Write every report into the bisect's own `directory`, the record first. Raises `ReportWriteError`."""
    write_whole(directory / JSON, json_dump.write(record))
    write_whole(directory / JUNIT, junit.document(record))
    write_whole(directory / MARKDOWN, markdown.page(record))
