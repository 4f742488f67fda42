"""Puts a run's reports on disk: every format and one trace per trial."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from farm.errors import InfrastructureError
from farm.record import RunRecord
from farm.report.formats import FORMATS
from farm.report.trace import traces


class ReportWriteError(InfrastructureError):
    """A report could not be written."""

    def __init__(self, path: Path, cause: OSError) -> None:
        self.path = path
        super().__init__(f"report {path} could not be written: {cause.strerror or cause}")


def write_reports(record: RunRecord, directory: Path) -> list[Path]:
    """Write every format and `traces/` into the run's own `directory`; return the files in that order.

    Each file appears whole or not at all; one that is there already is replaced. Raises `ReportWriteError`.
    """
    contents = {directory / reporter.filename: reporter.write(record) for reporter in FORMATS.values()}
    contents.update({directory / "traces" / name: text for name, text in traces(record).items()})
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `path` so that no reader ever sees half of it, making its directory. Raises `ReportWriteError`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        scratch = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        scratch.chmod(0o666 & ~_umask())  # mkstemp's 0600 would keep an artifact uploader of another user out
        scratch.replace(path)
    except OSError as error:
        if scratch is not None:
            scratch.unlink(missing_ok=True)
        raise ReportWriteError(path, error) from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
