"""Becomes somebody else's command: takes on a user id of its own and limits, irrevocably, and then is that command.

Started as `python -I drop_privileges.py LIMITS COMMAND…` inside a sandbox, where LIMITS is JSON. Loads nothing but the
standard library.
"""

from __future__ import annotations

import json
import os
import resource
import sys

UNSEEN = "farm: not in the sandbox: "


def main(limits: str, command: list[str]) -> None:
    """Be `command`. Where there is no such program, say so after `UNSEEN` and end with exit code 127."""
    wanted = json.loads(limits)
    if wanted["uid"] is not None:
        os.setgroups(wanted["groups"])
        os.setresgid(wanted["uid"], wanted["uid"], wanted["uid"])
        os.setresuid(wanted["uid"], wanted["uid"], wanted["uid"])
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: wanted["file_bytes"],
        resource.RLIMIT_NOFILE: wanted["open_files"],
        resource.RLIMIT_CPU: wanted["cpu_s"],
    }
    if wanted["processes"] is not None:
        bounds[resource.RLIMIT_NPROC] = wanted["processes"]
    for which, most in bounds.items():
        hard = resource.getrlimit(which)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (bound, bound))
    os.chdir(wanted["directory"])
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{UNSEEN}{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
