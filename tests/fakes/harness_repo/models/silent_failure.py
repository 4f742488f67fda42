"""Exit code 1 and not a word."""

import sys

if __name__ == "__main__":
    sys.exit(1)
