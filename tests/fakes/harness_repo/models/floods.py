"""Prints 20 MB before it passes."""

import sys

from golden import arguments, begin, passed, ran

if __name__ == "__main__":
    arguments()
    begin("Floods")
    line = "x" * 1023 + "\n"
    for _ in range(20 << 10):
        sys.stdout.write(line)
    ran()
    passed()
