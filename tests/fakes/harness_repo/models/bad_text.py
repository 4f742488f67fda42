"""Prints what is no text, a line that does not end for a megabyte, and then passes."""

import sys

from golden import arguments, begin, passed, ran

if __name__ == "__main__":
    arguments()
    begin("BadText")
    sys.stdout.buffer.write(b"\xff\xfe\x00[RUN] PASS (\xc3\x28\n" + b"[RUN] " * (1 << 18) + b"\n")
    sys.stdout.buffer.flush()
    ran()
    passed()
