"""Puts a bisect's reports on disk, each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from farm.bisect.record import BisectRecord
from farm.report import bisect_json, bisect_markdown
from farm.report.write import write_whole

JSON, MARKDOWN = "bisect.json", "bisect.md"


def write_bisect(record: BisectRecord, directory: Path) -> None:
    """Write both into the bisect's own `directory`, the record first. Raises `ReportWriteError`."""
    write_whole(directory / JSON, bisect_json.write(record))
    write_whole(directory / MARKDOWN, bisect_markdown.page(record))
