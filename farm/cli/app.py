"""The `farm` command: a group of one-file commands, each imported when it is used."""

from __future__ import annotations

import ast
import importlib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from farm import __version__
from farm.cli.exit_codes import FarmGroup
from farm.errors import UsageError
from farm.process.extras import MissingExtraError, named

COMMANDS = "farm.commands"  # entry points of packages that bring commands: name = "module:click command"

# The farm's own commands, each the module of this package whose object `command` it is.
OWN = (
    *("bisect", "budgets", "cluster", "compare", "completion", "devices", "doctor", "init", "kernel", "lease"),
    *("ledger", "prune", "report", "resume", "run", "runs", "suite", "sweep", "test", "top", "trace", "trends", "tune"),
)

ALIASES = {"harness": "suite"}  # former name → name; not listed


class Commands(FarmGroup):
    """The farm's own commands, and those of other packages, all imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names. Nothing is imported for them."""
        return sorted({*OWN, *super().list_commands(ctx), *entry_points(group=COMMANDS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; the farm's own come first, so that none can be replaced."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name in OWN:
            own: click.Command = importlib.import_module(f"farm.cli.{cmd_name}").command
            return own
        added = super().get_command(ctx, cmd_name)
        found = () if added else tuple(entry_points(group=COMMANDS, name=cmd_name))
        return _brought(found[0]) if found else added

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All commands with a line each; the farm's own are not imported for it."""
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name, limit)) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, or options of the group; the farm's own commands are not imported for it."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self._summary(ctx, name, 45)) for name in names), *options]

    def _summary(self, ctx: click.Context, name: str, limit: int) -> str:
        shown = click.Command(name, help=_help(name)) if name in OWN else self.get_command(ctx, name)
        return shown.get_short_help_str(limit) if shown else ""


def _help(name: str) -> str:
    """The help text of one of the farm's own commands, read from its source: imports cost a second, and Tab waits."""
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    commands = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "command")
    return next((ast.get_docstring(found) or "" for found in commands), "")


def _brought(entry: EntryPoint) -> click.Command:
    """Return a package's command, or one that says why it cannot be loaded: the others must go on working."""
    try:
        found = entry.load()
        problem = "" if isinstance(found, click.Command) else f"{entry.value} is no click command"
    except Exception as error:  # noqa: BLE001 - not swallowed: whoever calls the command is told; imports raise anything
        found, problem = None, _problem(error)
    if isinstance(found, click.Command):
        return found
    package = f" of {entry.dist.name}" if entry.dist else ""

    def refuse() -> None:
        raise UsageError(f"the command '{entry.name}'{package} cannot be loaded: {problem}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    text = "Cannot be loaded; call it to see why."
    return click.Command(entry.name, anything, callback=refuse, help=text, add_help_option=False)


def _problem(error: Exception) -> str:
    missing = named(error)
    if isinstance(missing, MissingExtraError):
        return str(missing)
    return " ".join(f"{type(error).__name__}: {error}".split())


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="farm")
def main() -> None:
    """Validate NPU kernels on many devices at once, and gate merges on the result.

    Exit codes: 0 passed, 1 failed (the kernel's fault), 2 wrong usage or configuration, 3 errored (the farm's or a
    device's fault, or inconclusive).

    \b
    Environment:
      FARM_HOME         where the store and the caches are; default: the user's data directory
      FARM_STORE        SQLAlchemy URL of the store; default: a SQLite file in FARM_HOME
      FARM_SIM_DEVICES  devices of a local simulated cluster; default: 8
      FARM_LANG         language of HTML reports: en or zh; default: en

    \b
    `farm COMMAND --help` explains each command; `farm completion --help` makes the shell complete them.
    """
