"""`farm serve` whose jobs are executed by the quick farm: python serve_quickly.py FARM.TOML."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from ci.config.settings import load
from ci.server.process import serve
from farm.errors import FarmError
from tests.fakes import quick_farm

FARM = (sys.executable, quick_farm.__file__)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        serve(load(Path(sys.argv[1]), os.environ), FARM)
    except FarmError as error:
        print(f"farm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
