"""What mutmut left in a scratch copy: the mutants, where each is in the source, and what came of it."""

from __future__ import annotations

import ast
import difflib
import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_METHOD = "ǁ"  # in mutmut's names, around the class of a method


class Outcome(enum.Enum):
    """What came of one mutant."""

    KILLED = "killed"  # a test failed
    TIMED_OUT = "timed out"  # the tests took many times as long as without it
    CRASHED = "crashed"  # the process of the tests died
    SURVIVED = "survived"  # every test passed
    UNTESTED = "untested"  # no test runs it
    NOT_REACHED = "not reached"  # the time was over


# Exit codes of the processes in which mutmut runs the tests. Whatever else they end with is no answer.
_OUTCOMES: dict[int | None, Outcome] = {
    0: Outcome.SURVIVED,
    1: Outcome.KILLED,
    3: Outcome.KILLED,
    5: Outcome.UNTESTED,
    33: Outcome.UNTESTED,
    36: Outcome.TIMED_OUT,
    24: Outcome.TIMED_OUT,
    -24: Outcome.TIMED_OUT,
    152: Outcome.TIMED_OUT,
    255: Outcome.TIMED_OUT,
    -6: Outcome.CRASHED,
    -9: Outcome.CRASHED,
    -11: Outcome.CRASHED,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function."""

    module: str  # path from the root
    function: str  # `Class.method` for a method
    line: int  # of the first line that differs, 1-based
    before: str  # the lines that differ, without their indentation
    after: str  # what they became
    outcome: Outcome

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is known by, wherever its line moves."""
        return (self.module, self.function, self.before, self.after)


def made(scratch: Path, module: str) -> bool:
    """Return whether mutmut came so far as to make the mutants of `module` in `scratch`, and kept its records whole."""
    return all(_loaded(path) is not None for path in _records(scratch, module))


def read(scratch: Path, module: str) -> Iterator[Mutant]:
    """Yield the mutants of `module`, which mutmut made in `scratch`; none where `made` is not true of it."""
    copy = scratch / "mutants" / module
    record, index = _records(scratch, module)
    codes: dict[str, int | None] = (_loaded(record) or {}).get("exit_code_by_key", {})
    spans: dict[str, list[int]] = (_loaded(index) or {}).get("spans", {})
    lines, starts = copy.read_text().splitlines(), _starts((scratch / module).read_text())
    for key, code in codes.items():
        mangled = key.rpartition(".")[2]
        original = mangled.partition("__mutmut_")[0] + "__mutmut_orig"
        function = _function(mangled)
        before, after = (lines[spans[each][0] - 1 : spans[each][1]] for each in (original, mangled))
        offset, removed, added = _difference(_renamed(before, original), _renamed(after, mangled))
        # A copy of the function begins with the comments above it; its `def` is the one line both files have.
        head = next(number for number, text in enumerate(before) if f"def {original}" in text)
        line = starts[function] + offset - head
        yield Mutant(module, function, line, removed, added, _OUTCOMES.get(code, Outcome.NOT_REACHED))


def _records(scratch: Path, module: str) -> tuple[Path, Path]:
    """Return the files in which mutmut keeps how each mutant ended, and where in its copy each stands."""
    copy = scratch / "mutants" / module
    return copy.with_name(copy.name + ".meta"), copy.with_name(copy.name + ".spans")


def _loaded(path: Path) -> dict[str, Any] | None:
    """Return a record of mutmut's; None where it is not there, or was cut short when the time was over."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return record


def _function(mangled: str) -> str:
    """Return `Class.method` for mutmut's `xǁClassǁmethod__mutmut_1`, `name` for `x_name__mutmut_1`."""
    name = mangled.partition("__mutmut_")[0]
    return ".".join(name.split(_METHOD)[1:]) if _METHOD in name else name.removeprefix("x_")


def _starts(source: str) -> dict[str, int]:
    """Return the line of the `def` of each function and method of a module."""
    found: dict[str, int] = {}
    for node in ast.parse(source).body:
        of_class = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for each in of_class:
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[prefix + each.name] = each.lineno
    return found


def _renamed(lines: list[str], name: str) -> list[str]:
    return [line.replace(f"def {name}", "def ", 1) for line in lines]


def _difference(before: list[str], after: list[str]) -> tuple[int, str, str]:
    """Return the number of the first line that differs, and the lines that do in both."""
    codes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changes = [code for code in codes if code[0] != "equal"]
    (_, first, _, first_after, _), (_, _, last, _, last_after) = changes[0], changes[-1]
    return first, _text(before[first:last]), _text(after[first_after:last_after])


def _text(lines: list[str]) -> str:
    return "\n".join(line.strip() for line in lines)
