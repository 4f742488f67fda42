"""The compiler refuses a tile."""

import sys

from golden import arguments, say

if __name__ == "__main__":
    arguments()
    say("[RUN] compile ...")
    print(
        "Function 'qproj_dequant': Vec buffer usage (263680 bytes) exceeds platform limit (196608 bytes)",
        file=sys.stderr,
    )
    say("[RUN] compile done (0.31s)")
    raise RuntimeError("compilation failed")
