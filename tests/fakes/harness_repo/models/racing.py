"""Other bits in every run, from the same data."""

import os

from golden import arguments, begin, draw, keep, passed, ran
from shared import SCALE

if __name__ == "__main__":
    given = arguments("--save-data", "--golden-data")
    work = begin("Racing")
    value = draw(work, given.golden_data, given.save_data)
    ran()
    keep(work, f"{value * SCALE!r} {os.urandom(8).hex()}")
    passed()
