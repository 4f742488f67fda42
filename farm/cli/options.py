"""Options that several commands share, and the reading of their values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from farm.errors import UsageError
from farm.model.priority import Priority
from farm.model.selection import Selection, Spread
from farm.model.timeouts import LADDER, Timeouts
from kernel.file_kernels import absolute

if TYPE_CHECKING:
    from farm.model.run import SourceRequest

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_KERNEL = "qkv_proj_rope"
DEFAULT_PLATFORM = "a2a3sim"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # it names a directory


def kernel_argument(command: Command) -> Command:
    """The kernel's name or file, `qkv_proj_rope` where it is left out; a file comes as an absolute path."""

    def read(context: click.Context, parameter: click.Parameter, value: str) -> str:
        return absolute(value)

    return click.argument("kernel", default=DEFAULT_KERNEL, callback=read)(command)


def suite_platform(context: click.Context, platform: str, known: Sequence[str]) -> str:
    """Return `platform`; where it was not given, the only one of a suite that has one."""
    given = context.get_parameter_source("platform") is not ParameterSource.DEFAULT
    return platform if given or platform in known or len(known) != 1 else known[0]


def platform_option(command: Command) -> Command:
    """`--platform`."""
    text = "How the kernel is built and run: a2a3sim needs no NPU, a2a3 is an Ascend NPU."
    return click.option("--platform", "-p", default=DEFAULT_PLATFORM, show_default=True, help=text)(command)


def tuning_option(command: Command) -> Command:
    """`--tuning KEY=VALUE`, repeatable."""
    text = "Set one knob of the kernel's tuning; repeat for more. `farm kernel show` lists them."
    return click.option("--tuning", "-t", multiple=True, metavar="KEY=VALUE", help=text)(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")(command)


def out_option(command: Command) -> Command:
    """`--out DIR`."""
    text = "Directory below which each run gets its own."
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("--out", type=kind, default=Path("farm-runs"), show_default=True, help=text)(command)


def run_id_option(command: Command) -> Command:
    """`--run-id ID`, for callers that must know the run before it begins."""
    return click.option("--run-id", default="", callback=_run_id, metavar="ID", help="A new id. Default: made up.")(
        command
    )


def _run_id(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if value and not _RUN_ID.fullmatch(value):
        raise UsageError(f"--run-id {value!a} is none; take up to 100 letters, digits, '.', '_' and '-'")
    return value


def cluster_options(command: Command) -> Command:
    """`--address --wait --trial-timeout`."""
    decorators = (
        click.option("--address", help="Ray cluster to use, for example head:6379. Default: a local one."),
        click.option(
            "--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for leased devices."
        ),
        _seconds("--trial-timeout", "trial_s", "after which a trial counts as hung; it costs the worker, not the run"),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def limit_options(command: Command) -> Command:
    """The other rungs of the timeout ladder, `--run-timeout` and so on.

    The command gets them all as one `timeouts: Timeouts` in place of `trial_s`.
    """

    @functools.wraps(command)
    def packed(**values: Any) -> Any:
        rungs = {rung.field: values.pop(rung.field) for rung in LADDER}
        return command(timeouts=Timeouts(**rungs), **values)

    decorated: Any = packed
    for rung in reversed(LADDER):
        if rung.field != "trial_s":
            decorated = _seconds(rung.option, rung.field, f"after which {rung.then}")(decorated)
    return decorated  # type: ignore[no-any-return]


def placement_options(command: Command) -> Command:
    """`--priority --spread --soc --node --device`; the command gets them as `priority` and `selection`."""

    @functools.wraps(command)
    def packed(
        priority: str, spread: str, soc: str | None, nodes: tuple[str, ...], devices_named: Any, **rest: Any
    ) -> Any:
        selection = Selection(spread=Spread(spread), soc=soc, nodes=list(nodes), devices=list(devices_named))
        return command(priority=Priority(priority), selection=selection, **rest)

    decorators = (
        click.option(
            "--priority",
            type=click.Choice([priority.value for priority in Priority]),
            default=Priority.INTERACTIVE.value,
            show_default=True,
            help="Priority in the queue of a shared cluster; nightly gives way between two trials.",
        ),
        click.option(
            "--spread",
            type=click.Choice([spread.value for spread in Spread]),
            default=Spread.ANY.value,
            show_default=True,
            help="nodes: each device on a node of its own.",
        ),
        click.option("--soc", help="Only nodes with this value of the Ray label 'soc'."),
        click.option("--node", "nodes", multiple=True, help="Only this node; repeat for more."),
        click.option("--device", "devices_named", multiple=True, metavar="NODE/INDEX", help="Only this; repeatable."),
    )
    decorated: Any = packed
    for decorate in reversed(decorators):
        decorated = decorate(decorated)
    return decorated  # type: ignore[no-any-return]


def _seconds(option: str, rung: str, what: str) -> Callable[[Command], Command]:
    """An option for one rung of the timeout ladder, whose default is the ladder's."""
    return click.option(
        option,
        rung,
        type=float,
        default=getattr(Timeouts(), rung),
        show_default=True,
        metavar="SECONDS",
        help=f"Seconds {what}.",
    )


def source_options(command: Command) -> Command:
    """`--source --commit --base --require-sandbox`, for `source_request`."""
    decorators = (
        click.option(
            "--source",
            type=click.Path(path_type=Path),
            metavar="GITDIR",
            help="Take the program from a commit of this git repository and run it in a sandbox.",
        ),
        click.option("--commit", metavar="SHA", help="That commit; a branch or tag will do. Default: HEAD."),
        click.option(
            "--base",
            metavar="SHA",
            help="Measure the merge base with this commit as well, and gate regressions. Implies --source .",
        ),
        click.option("--require-sandbox", is_flag=True, help="Refuse to run the program where it cannot be isolated."),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def source_request(
    kernel: str, source: Path | None, commit: str | None, base: str | None, *, draw_seed: bool, require_sandbox: bool
) -> SourceRequest | None:
    """The commits of `kernel` that the options name; None for the installed program. Raises `UsageError`."""
    from farm.source import programs

    if source is None and base is None:
        given = [name for name, value in (("--commit", commit), ("--require-sandbox", require_sandbox)) if value]
        if given:
            raise UsageError(f"{given[0]} is for a program from a git repository; name one with --source GITDIR")
        return None
    where = source or Path()
    request = programs.requested(
        kernel, where, commit or "HEAD", base, draw_seed=draw_seed, require_sandbox=require_sandbox
    )
    if commit is None and programs.has_changes(where):
        click.echo(f"farm: {where} has changes that are not committed; they are not measured", err=True)
    return request


def parse_tuning(pairs: tuple[str, ...]) -> dict[str, str]:
    """`("a=1", "b=x")` as a dictionary. Raises `UsageError` for a pair without `=` or a key given twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise UsageError(f"--tuning '{pair}' is not KEY=VALUE, for example --tuning split_k=4")
        if key.strip() in found:
            raise UsageError(f"--tuning {key.strip()} is given twice; give it once")
        found[key.strip()] = value.strip()
    return found


def refuse_options_before(context: click.Context) -> None:
    """An option in front of the subcommand would be the listing's and silently do nothing."""
    for name in context.params:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = f"--{name.removeprefix('as_')}"
            raise UsageError(f"{flag} goes behind '{context.invoked_subcommand}', not in front of it")


def refuse_beside_resume(context: click.Context, asked: Mapping[str, str], noun: str) -> None:
    """Raise `UsageError` where an option beside `--resume` asks for something else than the `noun` was asked.

    `asked` maps the parameters that say what was asked to their names for a person.
    """
    typed = ParameterSource.COMMANDLINE
    given = [option for name, option in asked.items() if context.get_parameter_source(name) is typed]
    if given:
        raise UsageError(f"--resume goes on with what the {noun} was asked; leave out {', '.join(given)}")
