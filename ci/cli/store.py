"""`farm store`: care for the database of runs, deliveries and the queue."""

from __future__ import annotations

from pathlib import Path

import click

from ci.cli.options import config_option, store_url, warn


@click.group("store")
def command() -> None:
    """Care for the store."""


@command.command("upgrade")
@config_option
def upgrade(config: Path) -> None:
    """Bring all tables up to date, those of the farm and those of the service.

    Every command does so for itself; this is for doing it before the service is started, under another database user
    for example. The store is $FARM_STORE, or [store] url of the configuration, or the default one.
    """
    from sqlalchemy import make_url

    from ci.store.engine import open_database
    from ci.store.tables import REVISION
    from farm.store.tables import REVISION as FARM_REVISION

    url = store_url(config)
    open_database(url, warn).dispose()
    shown = make_url(url).render_as_string(hide_password=True)
    click.echo(f"{shown}: up to date, the farm's tables at {FARM_REVISION}, the service's at {REVISION}")
