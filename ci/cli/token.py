"""`farm token`: who may use the service's API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci.cli.options import config_option, store_url, warn
from ci.store.states import Scope
from farm import timestamps

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LONGEST_DAYS = 3650


@click.group("token")
def command() -> None:
    """Make, list and revoke tokens of the service's API.

    They are kept in the service's store: $FARM_STORE, or [store] url of the configuration, or the default one.
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    required=True,
    help="What it is good for; repeat for more. None includes another.",
)
@click.option("--expires", "days", type=click.IntRange(1, _LONGEST_DAYS), metavar="DAYS", help="Default: never.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead.")
@config_option
def create(name: str, scopes: tuple[str, ...], days: int | None, as_json: bool, config: Path) -> None:
    """Make a token and print it, this once: only a digest of it is kept."""
    from ci.api import tokens

    with _database(config) as engine:
        token = tokens.create(engine, name, [Scope(scope) for scope in scopes], days)
    click.echo(json.dumps({"name": name, "scopes": sorted(scopes), "token": token}, indent=2) if as_json else token)
    click.echo("farm: keep it now, it cannot be shown again", err=True)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead.")
@config_option
def list_(as_json: bool, config: Path) -> None:
    """List all tokens, revoked ones too, oldest first: one a line, fields separated by tabs."""
    from ci.api import tokens

    now = timestamps.as_text(timestamps.utc_now())
    with _database(config) as engine:
        found = tokens.list_tokens(engine)
    if as_json:
        told = [
            {
                "name": token.name,
                "state": token.state(now),
                "scopes": sorted(scope.value for scope in token.scopes),
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "revoked_at": token.revoked_at,
            }
            for token in found
        ]
        return click.echo(json.dumps(told, indent=2))
    for token in found:
        scopes = ",".join(sorted(scope.value for scope in token.scopes))
        click.echo("\t".join((token.name, token.state(now), scopes, token.created_at, token.expires_at or "never")))
    return None


@command.command("revoke")
@click.argument("name")
@config_option
def revoke(name: str, config: Path) -> None:
    """Make a token worthless, from the next request on."""
    from ci.api import tokens

    with _database(config) as engine:
        tokens.revoke(engine, name)
    click.echo(f"revoked {name}")


@contextlib.contextmanager
def _database(config: Path) -> Iterator[Engine]:
    from ci.store.engine import open_database

    engine = open_database(store_url(config), warn)
    try:
        yield engine
    finally:
        engine.dispose()
