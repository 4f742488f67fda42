"""A `farm run` and a `farm sweep` that measure nothing: each leaves what was recorded, as the real ones leave theirs.

It is started as `recorded_farm.py EVIDENCE run …` by a bare interpreter, so that it costs a test little. `EVIDENCE` is
a directory of `tests.fakes.recorded_runs`. The commit's file `SAYS` holds the name of the recorded run that this one
becomes, or a line "TARGET=NAME" for each kernel, or profile, whose run is not "passed". Three names have no recorded
run: "busy" ends before it has devices, "hang" lasts until it is ended, and "dies" is killed once it has begun.

A run begins and ends in the store, ends politely on SIGTERM, and leaves its words and its environment beside its files.
It lasts as many tenths of a second as `FARM_SIM_DEVICES` says.

A sweep of one seed is clean, of two has a bad device, and of three is killed once it has begun; a resumed one is clean.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))
from farm.process import identity  # the path has to be there first

SAYS = "kernel/qkv_proj_rope/says"
RECORDED = "/recorded"  # where the recorded runs were, and their commit
COMMIT = "c" * 40


def option(name: str) -> str:
    """The value of an option."""
    return sys.argv[sys.argv.index(name) + 1]


def interrupted(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def said() -> str:
    """What the commit's file says of this target; a commit without one passes."""
    git = ["git", "--git-dir", option("--source"), "show", f"{option('--commit')}:{SAYS}"]
    text = subprocess.run(git, capture_output=True, text=True).stdout.strip() or "passed"
    if "=" not in text:
        return text
    target = Path(option("--suite")).stem if "--suite" in sys.argv else sys.argv[3]
    return dict(line.split("=") for line in text.splitlines()).get(target, "passed")


def copied(store: sqlite3.Connection, name: str, directory: Path) -> dict[str, Any]:
    """The row of a recorded run, as this run's."""
    row = dict(store.execute("SELECT * FROM evidence.run WHERE id = ?", (name,)).fetchone())
    row |= {"id": option("--run-id"), "commit": option("--commit"), "owner": identity.current().dump()}
    replaced = {name: row["id"], COMMIT: row["commit"], RECORDED: json.dumps(str(directory))[1:-1]}
    for old, new in replaced.items():
        row["record"] = row["record"].replace(f'"{old}"', f'"{new}"')
    return row


def run(evidence: Path) -> int:
    wanted = said()
    if wanted == "busy":
        print("farm: 3 devices asked for, the cluster has 2; take fewer", file=sys.stderr)
        return 2
    directory = Path(option("--out")) / option("--run-id")
    (directory / "logs").mkdir(parents=True)
    (directory / "environment.json").write_text(json.dumps(dict(os.environ)))
    (directory / "words.json").write_text(json.dumps(sys.argv[2:]))
    store = sqlite3.connect(os.environ["FARM_STORE"].removeprefix("sqlite:///"), timeout=30)
    store.execute("ATTACH ? AS evidence", (str(evidence / "store.sqlite"),))
    store.row_factory = sqlite3.Row
    row = copied(store, "recorded-begun", directory)
    with store:
        columns, values = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        store.execute(f"INSERT INTO main.run ({columns}) VALUES ({values})", list(row.values()))
    print(f"run {row['id']}: 9 trials", flush=True)
    try:
        time.sleep(600 if wanted == "hang" else float(os.environ.get("FARM_SIM_DEVICES", "1")) / 10)
    except KeyboardInterrupt:
        wanted = "interrupted"
    if wanted == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    row = copied(store, f"recorded-{wanted}", directory)
    with store:
        changes = ", ".join(f'"{name}" = ?' for name in row)
        mine = "id = ? AND verdict IS NULL"
        store.execute(f"UPDATE main.run SET {changes} WHERE {mine}", [*row.values(), row["id"]])
    return 0 if row["verdict"] == "passed" else 3


def sweep(evidence: Path) -> int:
    resumed = "--resume" in sys.argv
    seeds = "1" if resumed else option("--seeds")
    name = "resumed" if resumed else {"2": "bad"}.get(seeds, "clean")
    (recorded,) = (evidence / name).iterdir()
    directory = Path(option("--out")) / recorded.name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text("{}")
    if seeds == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    shutil.copytree(recorded, directory, dirs_exist_ok=True)
    return 3 if name == "bad" else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    sys.exit((sweep if sys.argv[2] == "sweep" else run)(Path(sys.argv[1])))
