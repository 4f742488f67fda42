"""Links from the page to the files beside it in the run's directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from farm.model.run import RunRecord
from farm.report.traces.chrome import trace_names
from farm.text import one_line

MAX_FILES = 200


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file, by where it is and what it is."""

    href: str  # relative and escaped: never a scheme, never out of the run's directory
    name: str
    what: str


def raw_files(record: RunRecord) -> list[RawFile]:
    """The record, the other reports, then each trial's trace and log; at most `MAX_FILES`."""
    found = [
        _file("report.json", "the record, from which everything here is rebuilt"),
        _file("junit.xml", "test results, for CI servers"),
        _file("report.md", "the pull-request comment"),
    ]
    if record.harness is not None:
        logs = {step.log: step.name for step in record.harness.setup if step.log and _inside(step.log)}
        found += [_file(log, f"log of the set-up step {one_line(name)}") for log, name in logs.items()]
    names = trace_names(record)
    for number, trial in enumerate(record.trials):
        which = f"{one_line(trial.case)} on {one_line(trial.device)}, repeat {trial.repeat}"
        if number in names:
            found.append(_file(f"traces/{names[number]}", f"trace of {which}"))
        if trial.log and _inside(trial.log):
            found.append(_file(trial.log, f"log of {which}"))
    return found[:MAX_FILES]


def _file(path: str, what: str) -> RawFile:
    # "./" first: a colon in the first part would make it a scheme.
    return RawFile("./" + quote(path), one_line(path), what)


def _inside(path: str) -> bool:
    """True for a relative path that does not leave the directory."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and "\0" not in path
