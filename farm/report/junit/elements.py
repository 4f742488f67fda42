"""What every JUnit document of ours is made of."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import junitparser


class JunitSuite(junitparser.TestSuite):  # type: ignore[misc]  # junitparser is not followed, see pyproject.toml
    """A suite with the two attributes the common schema asks for and junitparser has no field for."""

    package = junitparser.Attr()
    id = junitparser.Attr()


def timestamp(moment: str) -> str:
    """In UTC to the second and without a zone, as the schema wants it."""
    try:
        parsed = datetime.fromisoformat(re.sub(r"Z$", "+00:00", moment))
    except ValueError:
        return "1970-01-01T00:00:00"
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def xml(text: str) -> str:
    """Return `text` with the characters that XML 1.0 cannot hold, not even escaped, as Python writes them: `\\x1b`."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", _written, text)


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
