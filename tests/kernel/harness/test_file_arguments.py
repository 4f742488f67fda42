"""Which optional arguments a file takes is read from its own help, with their arity and choices."""

from __future__ import annotations

import argparse
from typing import Any

import click
import pytest
from click.testing import CliRunner

from kernel.harness.file_arguments import arguments
from kernel.harness.profile_sections import Flag

LANES = Flag(option="--lanes", values=["2", "1"])


def help_of(name: str = "--lanes", **how: Any) -> str:
    """What argparse prints for an option among others, in its own layout."""
    parser = argparse.ArgumentParser(prog="kernel.py", description="Has --lanes in its text.")
    parser.add_argument("-p", "--platform", required=True, choices=["a2a3", "a2a3sim"])
    parser.add_argument(name, **how)
    parser.add_argument("--a-long-option-that-wraps-the-usage", metavar="VALUE")
    parser.add_argument("--compile-only", action="store_true")
    return parser.format_help()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"action": "store_true"}, ["--lanes"]),
        ({"action": "store_true", "required": True}, ["--lanes"]),
        ({"type": int, "nargs": "?", "const": 1}, ["--lanes", "2"]),
        ({"type": int, "nargs": "?", "const": 1, "choices": (0, 1)}, ["--lanes", "1"]),
        ({"type": int, "nargs": "?", "const": 4, "choices": (0, 4)}, []),
        ({"type": int}, ["--lanes", "2"]),
        ({"type": int, "choices": (0, 1, 2)}, ["--lanes", "2"]),
        ({"type": int, "choices": (7, 8)}, []),
        ({"type": int, "required": True}, ["--lanes", "2"]),
    ],
)
def test_the_arity_and_the_choices_are_the_files(how: dict[str, Any], words: list[str]) -> None:
    assert arguments(help_of(**how), [LANES]) == words


def test_an_option_whose_name_only_begins_the_same_is_another() -> None:
    assert arguments(help_of("--lanes-off", action="store_true"), [LANES]) == []
    assert arguments(help_of("--no--lanes", action="store_true"), [LANES]) == []


def test_a_flag_without_values_is_a_switch_or_nothing() -> None:
    switch = Flag(option="--lanes")

    assert arguments(help_of(nargs="?"), [switch]) == ["--lanes"]
    assert arguments(help_of(type=int), [switch]) == []


def test_an_option_of_click_is_found_in_its_list() -> None:
    @click.command()
    @click.option("--lanes", type=int, help="Level.")
    @click.option("--dump", is_flag=True, help="Keep the --fast passes.")
    def command(lanes: int, dump: bool) -> None: ...

    text = CliRunner().invoke(command, ["--help"]).output

    assert arguments(text, [LANES, Flag(option="--dump"), Flag(option="--fast")]) == ["--lanes", "2", "--dump"]


@pytest.mark.parametrize("text", ["", "[RUN] compile ...\n[RUN] PASS (1.0s)\n", "\n\n"])
def test_a_file_that_shows_no_help_takes_nothing(text: str) -> None:
    assert arguments(text, [LANES]) == []
