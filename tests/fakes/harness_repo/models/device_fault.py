"""The device reports an error, after one that explains it."""

import sys

from golden import arguments, begin

if __name__ == "__main__":
    arguments()
    begin("DeviceFault")
    print("orch_error_code=0 sched_error_code=102", file=sys.stderr)
    raise RuntimeError("run_prepared failed with code 507018")
