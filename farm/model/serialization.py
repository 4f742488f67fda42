"""Records as JSON text, and JSON text as records."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from farm.errors import UsageError
from farm.model.run import SCHEMA_VERSION, RunRecord


class ReportError(UsageError):
    """A file that should be a report is none, or is of a schema this version cannot read."""

    def __init__(self, source: str, problem: str) -> None:
        self.source = source
        super().__init__(f"{source} is not a report this farm can read: {problem}")


def read(path: Path) -> RunRecord:
    """The record in the file at `path`. Raises `ReportError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(str(path), getattr(error, "strerror", None) or "not UTF-8 text") from error
    return parse(text, str(path))


def parse(text: str, source: str) -> RunRecord:
    """The record in `text`; `source` names it in errors.

    Fields added by a newer minor version are ignored, a newer major version is refused. Raises `ReportError`.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportError(source, f"no JSON ({error})") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    newer_minor = _compare(version, source)
    try:
        return RunRecord.model_validate_json(text, extra="ignore" if newer_minor else None)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ReportError(source, f"{place}: {first['msg']}") from error


def _compare(version: object, source: str) -> bool:
    """True where `version` is of our major number with a newer minor one. Raises `ReportError`."""
    parts = version.split(".") if isinstance(version, str) else []
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ReportError(source, "it has no schema_version such as '1.0'")
    ours, theirs = (tuple(int(part) for part in dotted.split(".")) for dotted in (SCHEMA_VERSION, ".".join(parts)))
    if theirs[0] != ours[0]:
        raise ReportError(source, f"schema version {version}, this farm reads {ours[0]}.x; use a matching version")
    return theirs > ours
