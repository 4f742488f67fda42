"""A process that only takes deliveries in, configured and served as the service is: python serve_intake.py FARM.TOML.

While a file `full` is beside the configuration the database has no room for more, as on a full disk.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import event

from ci.config.settings import load
from ci.server.app import create_app
from ci.store.engine import open_database
from ci.webhook.inbox import Inbox
from farm.errors import FarmError


def main() -> int:
    path = Path(sys.argv[1])
    try:
        config = load(path, os.environ)
        engine = open_database(config.store.url, lambda line: print(line, file=sys.stderr))
    except FarmError as error:
        print(f"farm: {error}", file=sys.stderr)
        return 2

    @event.listens_for(engine, "begin")
    def limit(connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        most = pages + 10 if path.with_name("full").exists() else 1 << 30
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    app = create_app(config, engine, Inbox(engine))
    uvicorn.run(app, host=config.server.host, port=config.server.port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
