"""The mutants that may survive, each with its reason, in one file that a person keeps."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.mutation.mutants import Mutant, Outcome

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FIELDS = ("module", "function", "line", "mutant", "reason")


class SurvivorsFileError(Exception):
    """The file is not one of survivors; the message is one line."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One mutant that no test needs to notice."""

    module: str
    function: str
    line: str  # of the source, without indentation
    mutant: str  # what it became; empty where the line is gone
    reason: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the mutant is known by."""
        return (self.module, self.function, self.line, self.mutant)


def load(path: Path) -> list[Listed]:
    """Return the entries of the file; none where there is no file. Raises `SurvivorsFileError`."""
    if not path.exists():
        return []
    try:
        entries = tomllib.loads(path.read_text()).get("survivor", [])
    except tomllib.TOMLDecodeError as error:
        raise SurvivorsFileError(f"{path} is not TOML: {error}") from error
    return [_entry(path, number, entry) for number, entry in enumerate(entries, 1)]


def _entry(path: Path, number: int, entry: object) -> Listed:
    texts = {name: value for name, value in entry.items() if isinstance(value, str)} if isinstance(entry, dict) else {}
    filled = {name for name, value in texts.items() if value.strip() or name == "mutant"}
    if filled != set(_FIELDS) or entry != texts:
        raise SurvivorsFileError(f"{path}: survivor {number} needs {', '.join(_FIELDS)}, each a text, and nothing else")
    return Listed(**texts)


def unlisted(mutants: Iterable[Mutant], listed: Iterable[Listed]) -> list[Mutant]:
    """Return the mutants that no test noticed and that are not in the file, in order of their place."""
    known = {each.key for each in listed}
    missed = (each for each in mutants if each.outcome in (Outcome.SURVIVED, Outcome.UNTESTED))
    return sorted((each for each in missed if each.key not in known), key=lambda each: (each.module, each.line))


def stale(mutants: Sequence[Mutant], listed: Iterable[Listed], modules: Iterable[str]) -> list[tuple[Listed, str]]:
    """Return the entries of `modules` that are not true any more, each with why; `mutants` are all of theirs.

    Only a test that failed speaks against an entry: a trial that took too long or was killed may be the machine's.
    """
    outcomes: dict[tuple[str, str, str, str], set[Outcome]] = {}
    for mutant in mutants:
        outcomes.setdefault(mutant.key, set()).add(mutant.outcome)
    examined, found = set(modules), []
    for each in listed:
        if each.module not in examined:
            continue
        of_entry = outcomes.get(each.key, set())
        if not of_entry:
            found.append((each, "there is no such mutant any more"))
        elif of_entry == {Outcome.KILLED}:
            found.append((each, "a test notices it now"))
    return found


def misplaced(listed: Iterable[Listed], root: Path) -> list[tuple[Listed, str]]:
    """Return the entries whose line is not in their module: seen without making a mutant, for every module."""
    sources: dict[str, str] = {}
    found = []
    for each in listed:
        path = root / each.module
        if each.module not in sources:
            text = path.read_text() if path.is_file() else ""
            sources[each.module] = "\n".join(line.strip() for line in text.splitlines())
        if each.line not in sources[each.module]:
            found.append((each, "its line is not in the module any more"))
    return found
