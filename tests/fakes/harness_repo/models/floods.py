"""Prints 40 MB before it passes."""

import sys

from golden import arguments, begin, passed, ran

if __name__ == "__main__":
    arguments()
    begin("Floods")
    line = "x" * 1023 + "\n"
    for _ in range(40 << 10):
        sys.stdout.write(line)
    ran()
    passed()
