"""Puts a sweep's reports on disk, each whole or not at all."""

from __future__ import annotations

from pathlib import Path

from farm.report import sweep_json, sweep_junit, sweep_markdown, sweep_picture
from farm.report.write import write_whole
from farm.sweep.record import SweepRecord

JSON, JUNIT, MARKDOWN, PICTURE = "sweep.json", "junit.xml", "sweep.md", "matrix.svg"


def write_sweep(record: SweepRecord, directory: Path) -> None:
    """Write every report into the sweep's own `directory`, the record first. Raises `ReportWriteError`."""
    write_whole(directory / JSON, sweep_json.write(record))
    write_whole(directory / JUNIT, sweep_junit.document(record))
    write_whole(directory / MARKDOWN, sweep_markdown.page(record, PICTURE))
    write_whole(directory / PICTURE, sweep_picture.picture(record))
