"""A mistake in the Python of a kernel is reported as itself, with file, line and text, whatever PyPTO makes of it."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.platforms.pypto_errors import compile_error

NATIVE = (
    "Errcode: F21004! CHECK FAILED: !func, func EndFunction, file program.cpp, line 12\nnpu::tile_fwk::EndFunction() ["
)
LOG = """ERROR:root:Record function small failed: NameError: name 'rowz' is not defined
\x1b[1m\x1b[91mERROR\x1b[0m \x1b[1m/home/ann/mine/program.py:24:8:\x1b[0m NameError: name 'rowz' is not defined
23 |     ):
\x1b[91m24 |\x1b[0m         _record(x, rowz)
\x1b[91m   |\x1b[0m         ^^^^
"""


def traced(directory: Path, body: str, wrap: Callable[[BaseException], Exception]) -> Exception:
    """What PyPTO raises for a kernel whose body is `body`: its own error, from the body's."""
    file = directory / "mine.py"
    file.write_text(f"def body():\n    rows = 16\n    {body}\n")
    linecache.checkcache(str(file))
    space: dict[str, Callable[[], None]] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    try:
        try:
            space["body"]()
        except Exception as error:
            raise wrap(error) from error
    except Exception as raised:  # noqa: BLE001
        return raised
    raise AssertionError("the body raised nothing")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("rowz + 1", "NameError", "name 'rowz' is not defined"),
        ("[1, 2][rows]", "IndexError", "list index out of range"),
        ("rows.tile()", "AttributeError", "'int' object has no attribute 'tile'"),
        ("raise ValueError('tile of ' + str(rows))", "ValueError", "tile of 16"),
        ("assert rows == 8, 'eight rows'", "AssertionError", "eight rows"),
    ],
)
@pytest.mark.parametrize("outer", [NATIVE, "Run pass failed."])
def test_a_python_mistake_is_not_hidden_behind_the_compilers_code(
    body: str, code: str, words: str, outer: str, tmp_path: Path
) -> None:
    found = compile_error(traced(tmp_path, body, lambda error: RuntimeError(outer)), LOG)

    assert found.code == code
    assert found.summary == f"{words} ({tmp_path / 'mine.py'}:3: {body})"


def test_where_only_the_log_has_it_the_log_is_read() -> None:
    found = compile_error(RuntimeError(NATIVE), LOG)

    assert (found.code, found.operation) == ("NameError", "")
    assert found.summary == "name 'rowz' is not defined (/home/ann/mine/program.py:24: _record(x, rowz))"


def test_what_the_compiler_itself_complains_of_stays_the_compilers() -> None:
    refused = "ERROR:root:Record function small failed: RuntimeError: Errcode: F21004! shapes differ\n"

    assert compile_error(RuntimeError(NATIVE), refused).code == "F21004"
    assert compile_error(RuntimeError(NATIVE), "").code == "F21004"
