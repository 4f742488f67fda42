"""Commands that other packages bring to `farm` through entry points."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from farm.cli import app


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packages that bring one good command and some that cannot be loaded."""
    (tmp_path / "plugin_good.py").write_text("import click\n@click.command()\ndef it():\n    click.echo('served')\n")
    (tmp_path / "plugin_odd.py").write_text("raise RuntimeError('its library\\nis too old')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = {
        "good": "plugin_good:it",
        "missing": "no_such_module:it",
        "nameless": "plugin_good:no_such_name",
        "odd": "plugin_odd:it",
        "no-command": "sys:path",
        "runs": "plugin_good:it",
    }
    points = EntryPoints(EntryPoint(name, value, app.COMMANDS) for name, value in entries.items())
    monkeypatch.setattr(app, "entry_points", lambda **wanted: points.select(**wanted))


@pytest.mark.usefixtures("brought")
def test_a_command_of_another_package_is_a_command_of_farm() -> None:
    done = CliRunner().invoke(app.main, ["good"])

    assert (done.exit_code, done.output) == (0, "served\n")


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "No module named 'no_such_module'"),
        ("nameless", "no_such_name"),
        ("odd", "RuntimeError: its library is too old"),
        ("no-command", "sys:path is no click command"),
    ],
)
def test_a_command_that_cannot_be_loaded_says_so_in_one_line(name: str, why: str) -> None:
    done = CliRunner().invoke(app.main, [name, "--help", "--anything", "else"])

    [line] = done.output.splitlines()
    assert done.exit_code == 2
    assert f"'{name}'" in line and why in line


@pytest.mark.usefixtures("brought")
def test_commands_that_cannot_be_loaded_disturb_no_other() -> None:
    listed = CliRunner().invoke(app.main, ["--help"])

    assert listed.exit_code == 0
    words = listed.output.split()
    assert all(name in words for name in ("good", "missing", "odd", "doctor"))
    assert CliRunner().invoke(app.main, ["good"]).exit_code == 0


@pytest.mark.usefixtures("brought")
def test_no_package_can_take_the_place_of_one_of_the_farms_own_commands() -> None:
    from farm.cli import runs

    assert app.main.get_command(click.Context(app.main), "runs") is runs.command


def test_the_help_of_all_commands_loads_no_web_server() -> None:
    program = """
import sys
from click.testing import CliRunner
from farm.cli.app import main
done = CliRunner().invoke(main, ["--help"])
assert done.exit_code == 0 and "  serve " in done.output and "  token " in done.output, done.output
print([name for name in ("fastapi", "uvicorn", "githubkit", "alembic") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "[]", done.stdout + done.stderr
