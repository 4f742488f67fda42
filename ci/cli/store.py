"""`farm store`: care for the database of runs, deliveries and the queue."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from ci.cli.options import config_option, store_url, warn
from farm.cli.first_line import announced
from farm.text import one_line


@click.group("store")
def command() -> None:
    """Care for the store."""


@command.command("upgrade")
@config_option
@announced("bringing the store to the newest revision")
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


@command.command("audit")
@click.option("--subject", default="", help="Only about this: id of a job, a commit, PLATFORM/DEVICE, name of a token.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead.")
@config_option
def audit(subject: str, limit: int, as_json: bool, config: Path) -> None:
    """Show who did what: approvals, quarantines, releases, cancels, retries, tokens and their use.

    One entry a line, newest first, fields separated by tabs: when (UTC), who, from where, what, about what, outcome,
    detail.
    """
    from ci.store.engine import open_database
    from farm.store import audit_log
    from farm.store.engine import transaction

    engine = open_database(store_url(config), warn)
    try:
        with transaction(engine, "read") as connection:
            found = audit_log.entries(connection, limit, subject=subject)
    finally:
        engine.dispose()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in found], indent=2))
        return
    for each in found:
        fields = (each.at, each.actor, each.origin, each.action.value, each.subject, each.outcome, each.detail)
        click.echo("\t".join(one_line(field) or "-" for field in fields))
