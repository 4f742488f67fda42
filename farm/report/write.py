"""Puts a run's reports on disk: every format and one trace per trial."""

from __future__ import annotations

from pathlib import Path

from farm.atomic_file import write_whole
from farm.model.run import RunRecord
from farm.report.formats import FORMATS
from farm.report.json_report import JsonReport
from farm.report.traces.chrome import traces
from kernel.platforms.compressed import packed


def write_reports(record: RunRecord, directory: Path) -> list[Path]:
    """Write every format and `traces/` into the run's own `directory`; return the files in that order.

    Each file appears whole or not at all; one that is there already is replaced. They are made one after the other, and
    of `report.json` one trial after the other, so that thousands of trials need little more memory than one. Raises
    `ReportWriteError`.
    """
    written = []
    for reporter in FORMATS.values():
        path = directory / reporter.filename
        write_whole(path, reporter.pieces(record) if isinstance(reporter, JsonReport) else reporter.write(record))
        written.append(path)
    for name, text in traces(record):
        path = directory / "traces" / name
        write_whole(path, packed(text))
        written.append(path)
    return written
