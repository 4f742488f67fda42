"""Options that the service's commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """`--config PATH`."""
    text = "The service's configuration."
    kind = click.Path(path_type=Path, dir_okay=False)
    return click.option("--config", type=kind, default=Path("farm.toml"), show_default=True, help=text)(command)


def store_url(config: Path) -> str:
    """The store that `farm serve --config` uses: $FARM_STORE, or what the file says, or the default one."""
    from ci.config.settings import store_url as found

    return found(config, os.environ)


def warn(line: str) -> None:
    """One line on stderr."""
    click.echo(f"farm: {line}", err=True)
