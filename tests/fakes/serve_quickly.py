"""`farm serve` whose jobs are executed by the recorded farm: python serve_quickly.py FARM.TOML.

What that leaves is in the directory `evidence` beside FARM.TOML.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from ci.config.settings import load
from ci.server.process import serve
from farm.errors import FarmError
from tests.fakes import recorded_farm


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        path = Path(sys.argv[1])
        farm = (sys.executable, "-I", "-S", recorded_farm.__file__, str(path.with_name("evidence")))
        serve(load(path, os.environ), farm)
    except FarmError as error:
        print(f"farm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
