# ci: no-sim    # needs a card
"""Runs on a device only."""

import sys

from golden import arguments

if __name__ == "__main__":
    sys.exit(f"{arguments().platform} is no device")
