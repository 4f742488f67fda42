"""Passes, and the collector of its task records counts what it lost."""

import sys

from golden import arguments, begin, lanes, passed

if __name__ == "__main__":
    given = arguments("--enable-l2-swimlane")
    work = begin("LosesLanes")
    if given.enable_l2_swimlane:
        lanes(work)
    print("[WARN] L2Perf reconcile: PERF count mismatch (collected=2 + dropped=0 != device_total=3)", file=sys.stderr)
    passed()
