"""Pipes are never wrapped, and a narrow screen takes no row its name."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from farm.report.console import NamedRows, output_console

NAMES = ("10.0.0.1/12", "a-device-with-a-rather-long-name/3")


def table() -> NamedRows:
    rows = NamedRows()
    for heading, kept in (("device", True), ("state", True), ("median µs", True), ("why", False)):
        rows.add_column(heading, no_wrap=kept)
    for name in NAMES:
        rows.add_row(Text(name), Text("quarantined", "red"), "76.64", Text("ECC error 507054 on the third of three"))
    return rows


def shown(width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(table())
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_row_keeps_its_name_its_numbers_and_its_words(width: int) -> None:
    lines = shown(width)

    assert max(map(len, lines)) <= width
    assert [sum(line.startswith(name) for line in lines) for name in NAMES] == [1, 1]
    assert " ".join(lines).count("76.64") == 2
    assert sum("quarantined" in line for line in lines) == 2


def test_on_a_narrow_screen_each_value_stands_below_its_name_with_its_heading() -> None:
    assert shown(40)[:4] == [
        "10.0.0.1/12",
        "  state: quarantined",
        "  median µs: 76.64",
        "  why: ECC error 507054 on the third of",
    ]


def test_a_value_that_a_row_lacks_has_no_line() -> None:
    rows = table()
    rows.add_row(Text("vm/0"), Text(""), "", Text("new"))
    out = io.StringIO()
    Console(file=out, width=40).print(rows)

    assert out.getvalue().splitlines()[-2:] == ["vm/0", "  why: new"]


def test_a_pipe_is_never_wrapped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    output_console().print(table())
    output_console().print("word " * 100)

    assert len(capsys.readouterr().out.splitlines()) == 1 + len(NAMES) + 1


def test_names_are_text_and_never_markup() -> None:
    rows = NamedRows()
    rows.add_column("name", no_wrap=True)
    rows.add_column("value", no_wrap=True)
    rows.add_row(Text("[red]x[/]"), Text("[b]" + "y" * 50))
    out = io.StringIO()
    Console(file=out, width=40).print(rows)

    assert out.getvalue().splitlines()[0] == "[red]x[/]"
    assert "[b]yyy" in out.getvalue()
