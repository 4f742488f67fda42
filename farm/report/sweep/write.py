"""Puts a sweep's reports on disk, each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from farm.atomic_file import write_whole
from farm.model.sweep import SweepRecord
from farm.report.sweep import json_dump, junit, markdown, picture

JSON, JUNIT, MARKDOWN, PICTURE = "sweep.json", "junit.xml", "sweep.md", "matrix.svg"


def write_sweep(record: SweepRecord, directory: Path) -> None:
    """Write every report into the sweep's own `directory`, the record first. Raises `ReportWriteError`."""
    write_whole(directory / JSON, json_dump.write(record))
    write_whole(directory / JUNIT, junit.document(record))
    write_whole(directory / MARKDOWN, markdown.page(record, PICTURE))
    write_whole(directory / PICTURE, picture.picture(record))
