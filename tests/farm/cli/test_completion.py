"""Shell completion: the script each shell loads, and what it asks the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from farm.cli.app import OWN, main
from farm.cli.completion import SHELLS


def farm(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="farm", env=environment)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_asks_the_program(shell: str) -> None:
    said = farm("completion", shell)

    assert said.exit_code == 0, said.output
    assert f"_FARM_COMPLETE={shell}_complete" in said.stdout
    assert "%(" not in said.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_the_shell_can_read(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")

    done = subprocess.run([program, "-n"], input=farm("completion", shell).stdout, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("farm ru", {"run", "runs"}), ("farm run --dev", {"--devices", "--device", "--device-op-timeout"})],
)
def test_commands_and_options_are_completed(typed: str, offered: set[str]) -> None:
    position = str(len(typed.split()) - 1)

    said = farm(_FARM_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=position)

    assert {line.partition(",")[2] for line in said.stdout.splitlines()} == offered


def test_a_shell_nobody_completes_is_refused_with_those_that_are() -> None:
    said = farm("completion", "tcsh")

    assert said.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in said.stderr


def test_the_list_of_commands_says_of_each_what_its_own_help_says() -> None:
    listed = farm("--help").stdout
    context = click.Context(main)

    for name in OWN:
        command = main.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(30).removesuffix("...") in listed, name


@pytest.mark.parametrize("typed", ["farm ", "farm ru", "farm --"])
def test_neither_the_list_of_commands_nor_completion_imports_what_commands_need(typed: str) -> None:
    program = (
        "import sys, atexit\n"
        "from farm.cli.app import main\n"
        "heavy = {'pydantic', 'rich', 'sqlalchemy', 'torch', 'ray', 'numpy', 'httpx', 'asyncio'}\n"
        "atexit.register(lambda: print('loaded', *sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "main(prog_name='farm')\n"
    )
    completing = {"_FARM_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": "1"}

    for words, more in (["--help"], {}), ([], completing):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], env={**os.environ, **more}, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "loaded\n")
        assert done.stdout
