"""`farm serve`: runs the service in this process until a signal ends it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import click

from ci.cli.options import config_option
from farm.cli.first_line import announced

_LEVELS = ("debug", "info", "warning", "error")


@click.command("serve")
@config_option
@click.option("--host", help="Address to listen on instead of [server] host.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port instead of [server] port.  [default: 8080]")
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True)
@announced("starting the service")
def command(config: Path, host: str | None, port: int | None, log_level: str) -> None:
    """Serve the merge gate: webhooks, its API, health and metrics.

    The configuration is checked before anything starts, and all its problems are reported at once. SIGTERM or Ctrl-C
    ends the service in order. Exit codes: 0 for that, 2 where it cannot start, 3 for an error of the service.
    """
    from ci.config.settings import load
    from ci.server.process import serve

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells every request to the forge
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # and this one, what it is made of
    given = {"FARM_HOST": host, "FARM_PORT": str(port) if port else None}
    serve(load(config, {**os.environ, **{name: value for name, value in given.items() if value}}))
