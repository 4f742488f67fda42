"""A `farm run` that measures nothing: it leaves a recorded run in the store, the one that the commit's file names.

It is started as `recorded_farm.py EVIDENCE run …` by a bare interpreter, so that it costs a test little. `EVIDENCE` is
a store with a run `recorded-WORD` for each word that a commit's file `SAYS` may hold; the copy gets the id and the
commit that were asked for. Two words have no run: "busy" ends before it has devices, "dies" is killed before it begins.
"""

import os
import signal
import sqlite3
import subprocess
import sys

SAYS = "kernel/qkv_proj_rope/says"


def option(name: str) -> str:
    """The value of an option."""
    return sys.argv[sys.argv.index(name) + 1]


def word() -> str:
    """What the commit's file says; a commit without one passes."""
    git = ["git", "--git-dir", option("--source"), "show", f"{option('--commit')}:{SAYS}"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip() or "passed"


def keep(evidence: str, name: str) -> str:
    """Copy the recorded run of that name into the store; its verdict."""
    store = sqlite3.connect(os.environ["FARM_STORE"].removeprefix("sqlite:///"), timeout=30)
    store.execute("ATTACH ? AS evidence", (evidence,))
    store.row_factory = sqlite3.Row
    with store:
        row = dict(store.execute("SELECT * FROM evidence.run WHERE id = ?", (name,)).fetchone())
        recorded = row["commit"]
        row["id"], row["commit"] = option("--run-id"), option("--commit")
        row["record"] = row["record"].replace(f'"{name}"', f'"{row["id"]}"').replace(recorded, row["commit"])
        columns = ", ".join(f'"{column}"' for column in row)
        store.execute(f"INSERT INTO main.run ({columns}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    return str(row["verdict"])


def main() -> int:
    wanted = word()
    if wanted == "busy":
        print("farm: 3 devices asked for, the cluster has 2; take fewer", file=sys.stderr)
        return 2
    if wanted == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return 0 if keep(sys.argv[1], f"recorded-{wanted}") == "passed" else 3


if __name__ == "__main__":
    sys.exit(main())
