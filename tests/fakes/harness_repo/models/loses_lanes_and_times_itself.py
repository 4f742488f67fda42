"""Passes and prints its time, and the collector of its task records counts what it lost."""

import sys

from golden import arguments, begin, passed, timed

if __name__ == "__main__":
    arguments("--enable-l2-swimlane")
    begin("LosesLanes")
    timed(540.0)
    print("[WARN] ChipSwimlane reconcile: 3 PERF records dropped on device side.", file=sys.stderr)
    passed()
