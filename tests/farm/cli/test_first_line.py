"""A command that takes long says what it does before anything else; by the order of events, not by a clock."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import string
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from farm.cli import first_line, harness_run
from farm.cli.app import main
from farm.cli.first_line import announced
from farm.cli.run_progress import view
from farm.errors import UsageError
from tests.farm.cli.test_json import ALL as LISTED

ALL = {**LISTED, "run --suite": harness_run.command}
# They read the store or a file, or change a row of the store, and end.
QUICK = {
    *("completion", "init", "suite init", "suite list", "suite schema", "runs", "runs settle", "trends"),
    *("devices", "devices history", "devices quarantine", "devices release"),
    *("store audit", "token create", "token list", "token revoke"),
}
DRAWN = {"top"}  # its own screen is there before the first answer
LONG = sorted(ALL.keys() - QUICK - DRAWN)


@pytest.fixture(autouse=True)
def as_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has set after how many seconds the line comes."""
    monkeypatch.delenv(first_line.VARIABLE)


def saying(name: str) -> Callable[..., Any]:
    """What of a command says its first line and then calls the rest of it."""
    found: Any = ALL[name].callback
    while getattr(getattr(found, "__wrapped__", None), "announces", None) is not None:
        found = found.__wrapped__
    assert getattr(found, "announces", ""), f"farm {name} must say first what it does, or be listed above as quick"
    said: Callable[..., Any] = found
    return said


def test_the_quick_commands_exist() -> None:
    assert ALL.keys() > QUICK | DRAWN


def ends_at_once() -> None:
    """A command."""


def takes_anything(**values: object) -> None:
    """Another one."""


class SecondsGoBy:
    """A timer whose time is over as soon as it is started."""

    daemon = False

    def __init__(
        self, seconds: float, call: Callable[..., None], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        assert 0 < seconds < 2
        self._call: Callable[[], None] = functools.partial(call, *arguments, **named)

    def start(self) -> None:
        self._call()

    def cancel(self) -> None:
        """It has fired already."""


class NoTimeGoesBy(SecondsGoBy):
    """A timer that is cancelled before its time is over."""

    cancelled = 0

    def start(self) -> None:
        """Nothing yet."""

    def cancel(self) -> None:
        type(self).cancelled += 1


@pytest.mark.parametrize("name", LONG)
def test_a_long_command_says_what_it_does_before_its_first_step(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command: Any = saying(name)
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(threading, "Timer", SecondsGoBy)
    monkeypatch.setattr(command, "__wrapped__", lambda **values: seen.append((*capsys.readouterr(),)))
    fields = [field for _, field, _, _ in string.Formatter().parse(command.announces) if field]

    command(**{field: f"[{field}]" for field in fields})

    [(out, err)] = seen
    assert out == ""
    assert err.startswith("farm: ")
    assert err.count("\n") == 1
    assert all(f"[{field}]" in err for field in fields)


@pytest.mark.parametrize("ends", [lambda: None, lambda: sys.exit(2)])
def test_a_command_that_ends_sooner_says_nothing(
    ends: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "Timer", NoTimeGoesBy)
    NoTimeGoesBy.cancelled = 0

    with contextlib.suppress(SystemExit):
        announced("sweeping")(ends)()

    assert NoTimeGoesBy.cancelled == 1
    assert capsys.readouterr() == ("", "")


def test_a_command_that_draws_its_progress_says_nothing_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Timer", NoTimeGoesBy)
    NoTimeGoesBy.cancelled = 0
    terminal = Console(file=io.StringIO(), force_terminal=True)
    seen: list[int] = []

    @announced("validating")
    def command() -> None:
        with view(terminal, quiet=False):
            seen.append(NoTimeGoesBy.cancelled)

    command()

    assert seen == [1]


def test_what_is_said_follows_what_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "Timer", SecondsGoBy)
    said = announced("sweeping {kernel}", schema="", resume="going on with {resume}")(takes_anything)

    said(kernel="one", schema=False, resume=None)
    said(kernel="one", schema=False, resume="20261201-1")
    said(kernel="one", schema=True, resume=None)
    said(kernel=("two", "\x1b[31mthree\nfour"), schema=False, resume=None)
    said(kernel=(), schema=False, resume=None)

    first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert (first, second, fourth) == ("farm: sweeping one", "farm: going on with 20261201-1", "farm: sweeping")
    assert "\x1b" not in third


def test_json_stays_alone_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Timer", SecondsGoBy)

    ended = CliRunner().invoke(main, ["kernel", "show", "qkv_proj_rope", "--json"])

    assert ended.exit_code == 0
    assert ended.stderr == "farm: loading qkv_proj_rope\n"
    assert json.loads(ended.stdout)["name"] == "qkv_proj_rope"


def test_the_line_can_be_put_off_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(first_line.VARIABLE, "7.5")
    assert first_line.after_s() == 7.5

    monkeypatch.setenv(first_line.VARIABLE, "soon")
    with pytest.raises(UsageError, match="FARM_FIRST_LINE_AFTER is 'soon'; use a number of seconds from 0 to 3600"):
        first_line.after_s()

    monkeypatch.setattr(threading, "Timer", NoTimeGoesBy)
    monkeypatch.setenv(first_line.VARIABLE, "0")
    NoTimeGoesBy.cancelled = 0
    announced("sweeping")(ends_at_once)()
    assert NoTimeGoesBy.cancelled == 0
