"""Prints 8 MB before it passes."""

import sys

from golden import arguments, begin, passed, ran

if __name__ == "__main__":
    arguments()
    begin("Floods")
    line = "x" * 1023 + "\n"
    for _ in range(8 << 10):
        sys.stdout.write(line)
    ran()
    passed()
