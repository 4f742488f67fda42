"""Puts a run's reports on disk: every format and one trace per trial."""

from __future__ import annotations

from pathlib import Path

from farm.atomic_file import write_whole
from farm.model.run import RunRecord
from farm.report.formats import FORMATS
from farm.report.traces.chrome import traces
from kernel.platforms.compressed import packed


def write_reports(record: RunRecord, directory: Path) -> list[Path]:
    """Write every format and `traces/` into the run's own `directory`; return the files in that order.

    Each file appears whole or not at all; one that is there already is replaced. Raises `ReportWriteError`.
    """
    contents: dict[Path, str | bytes] = {
        directory / reporter.filename: reporter.write(record) for reporter in FORMATS.values()
    }
    contents.update({directory / "traces" / name: packed(text) for name, text in traces(record).items()})
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)
