"""What a report format is: a name to ask for it by, the file it is kept in, and a pure function from the record."""

from __future__ import annotations

from typing import Protocol

from farm.model.run import RunRecord


class Reporter(Protocol):
    """One format. A new one is a new file beside this one and a line in `farm/report/formats.py`."""

    name: str  # as typed after `--format`
    filename: str  # in the run's directory

    def write(self, record: RunRecord) -> str | bytes:
        """The whole file; text is stored as UTF-8. Never raises, whatever the run has or lacks."""
        ...
