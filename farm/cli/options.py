"""Options that several commands share, and the reading of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from farm.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_KERNEL = "qkv_proj_rope"
DEFAULT_PLATFORM = "a2a3sim"


def kernel_argument(command: Command) -> Command:
    """The kernel's name, `qkv_proj_rope` where it is left out."""
    return click.argument("kernel", default=DEFAULT_KERNEL)(command)


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


def cluster_options(command: Command) -> Command:
    """`--address --wait --trial-timeout`."""
    decorators = (
        click.option("--address", help="Ray cluster to use, for example ray://host:10001. Default: a local one."),
        click.option(
            "--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for a lease."
        ),
        click.option(
            "--trial-timeout",
            "trial_timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=900.0,
            show_default=True,
            help="Seconds after which a trial counts as hung; it costs the worker, not the run.",
        ),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


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
