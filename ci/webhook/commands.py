"""Understands `/farm …` lines in comments. Pure; argparse does the parsing and never gets to end the process."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass
from typing import Any, NoReturn

from ci.queue.options import _MOST_DEVICES, JobOptions

_MOST_COMMANDS = 5  # of one comment; the rest of a longer list is somebody playing
_LONGEST_LINE = 500  # characters
_LINE = re.compile(r"^ {0,3}/farm(?:\s+(?P<rest>.*))?$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_CASE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

HELP = """\
Commands, one a line, for people with write access:

| command | does |
|---|---|
| `/farm run [--devices N] [--case C]… [--target T]…` | validates the newest commit, again if it has a verdict already |
| `/farm approve SHA` | lets this commit, of a fork or with other rules, go on; a newer commit needs its own approval |
| `/farm cancel` | stops the validation of this pull request |
| `/farm retune` | says how to search for a better tuning |
| `/farm help` | says this |"""


@dataclass(frozen=True, slots=True)
class Run:
    """Validate the newest commit."""

    options: JobOptions


@dataclass(frozen=True, slots=True)
class Retune:
    """Search for a better tuning."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Let this very commit run."""

    sha: str


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """Stop what runs or waits."""


@dataclass(frozen=True, slots=True)
class Help:
    """Say what there is; `problem` is what was wrong with what was typed, "" where help was asked for."""

    problem: str


Command = Run | Retune | Approve | CancelCommand | Help


class _NotUnderstoodError(Exception):
    """argparse would have ended the process."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the process, as argparse would."""
        raise _NotUnderstoodError(message)


def parse(text: str) -> list[Command]:
    """The commands in a comment, in order. Raises nothing, whatever the text; quotes and code blocks hold none."""
    found: list[Command] = []
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        match = None if fenced else _LINE.match(line)
        if match and len(found) < _MOST_COMMANDS:
            found.append(_command(match["rest"] or ""))
    return found


def _command(line: str) -> Command:
    if len(line) > _LONGEST_LINE:
        return Help(f"a line of more than {_LONGEST_LINE} characters")
    try:
        words = shlex.split(line)
        return _of(_parser().parse_args(words or ["help"]))
    except (_NotUnderstoodError, ValueError) as error:  # shlex: a quote that is not closed
        return Help(str(error))


def _of(found: argparse.Namespace) -> Command:
    if found.command == "run":
        return Run(JobOptions(devices=found.devices, cases=found.case, targets=found.target))
    if found.command == "approve":
        return Approve(found.sha)
    others: dict[str, Command] = {"cancel": CancelCommand(), "retune": Retune()}
    return others.get(found.command, Help(""))


def _parser() -> _Parser:

    shared: dict[str, Any] = {"add_help": False, "allow_abbrev": False}
    parser = _Parser(prog="/farm", **shared)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for name in ("run", "retune"):
        command = commands.add_parser(name, **shared)
        command.add_argument("--devices", type=_devices)
        command.add_argument("--case", action="append", type=_case, default=[])
        command.add_argument("--target", action="append", type=_target, default=[])
    commands.add_parser("approve", **shared).add_argument("sha", type=_sha)
    commands.add_parser("cancel", **shared)
    commands.add_parser("help", **shared)
    return parser


def _devices(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= _MOST_DEVICES):
        raise argparse.ArgumentTypeError(f"takes a number from 1 to {_MOST_DEVICES}")
    return int(text)


def _case(text: str) -> str:
    if not _CASE.fullmatch(text):
        raise argparse.ArgumentTypeError("takes the name of a case, such as flash-s2")
    return text


def _target(text: str) -> str:
    if not _CASE.fullmatch(text):
        raise argparse.ArgumentTypeError("takes the name of a target in farm.toml")
    return text


def _sha(text: str) -> str:
    if not _SHA.fullmatch(text):
        raise argparse.ArgumentTypeError("takes the whole hash of the commit, 40 hexadecimal digits")
    return text
