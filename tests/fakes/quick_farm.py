"""A `farm run` and a `farm sweep` that take a moment: they keep the real ones' contract and do what they are told.

The commit's file `SAYS` holds a verdict, "rules" (passed, and it has found changed ones), "hang", "dies" (no verdict),
or "busy" (ends before it has devices); or a line "TARGET=…" for each kernel, or profile, that does not pass. It begins
and ends its run in the real store under `--run-id`, and ends politely on SIGTERM. Beside its files it leaves the
environment it was given.

A sweep of one seed is clean, of two has a bad device, and of three is killed once it has begun; a resumed one is clean.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from farm import paths
from farm.model.run import SourceRecord, Verdict
from farm.report.sweep.write import write_sweep
from farm.store.run_store import Store
from farm.sweep.journal import PLAN
from tests.fakes.git_remote import SAYS
from tests.farm import samples, sweep_samples


def option(name: str) -> str:
    """The value of an option."""
    return sys.argv[sys.argv.index(name) + 1]


def interrupted(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def said() -> str:
    git = ["git", "--git-dir", option("--source"), "show", f"{option('--commit')}:{SAYS}"]
    text = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    if "=" not in text:
        return text
    target = Path(option("--suite")).stem if "--suite" in sys.argv else sys.argv[2]
    return dict(line.split("=") for line in text.splitlines()).get(target, "passed")


def sweep() -> int:
    out, again = Path(option("--out")), "--resume" in sys.argv
    seeds = "1" if again else option("--seeds")
    record = sweep_samples.one_bad() if seeds == "2" else sweep_samples.clean(resumed=again)
    directory = out / record.sweep_id
    directory.mkdir(parents=True, exist_ok=True)
    (directory / PLAN).write_text("{}")
    if seeds == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    write_sweep(record, directory)
    return 0 if record.verdict is Verdict.PASSED else 3


def main() -> int:
    signal.signal(signal.SIGTERM, interrupted)
    if sys.argv[1] == "sweep":
        return sweep()
    wanted = said()
    if wanted == "busy":
        print("farm: 3 devices asked for, the cluster has 2; take fewer", file=sys.stderr)
        return 2
    directory = Path(option("--out")) / option("--run-id")
    (directory / "logs").mkdir(parents=True)
    (directory / "environment.json").write_text(json.dumps(dict(os.environ)))
    (directory / "words.json").write_text(json.dumps(sys.argv[1:]))
    begun: dict[str, Any] = {
        "run_id": option("--run-id"),
        "commit": option("--commit"),
        "directory": str(directory),
        "trials": [],
    }
    with Store.open(paths.store_url()) as store:
        store.begin(samples.run(**begun, verdict=None))
        print(f"run {option('--run-id')}: 9 trials", flush=True)
        try:
            time.sleep(600 if wanted == "hang" else float(os.environ.get("FARM_SIM_DEVICES", "1")) / 10)
            verdict, reason = Verdict(wanted if wanted in ("passed", "failed") else "errored"), f"it is {wanted}"
        except KeyboardInterrupt:
            verdict, reason = Verdict.ERRORED, "interrupted"
        if wanted == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted == "rules":
            verdict = Verdict.PASSED
            changed = {"commit": option("--commit"), "tree": "", "place": "kernel", "rule_changes": ["kernel/rules.py"]}
            begun["source"] = SourceRecord.model_validate(changed)
        if wanted == "gains":
            verdict = Verdict.PASSED
            gain = {"case": "tiny", "clock": "simulated", "before_us": 40.0, "after_us": 20.0}
            gain |= {"landed": 9, "largest_gain": 0.1}
            gained = {"commit": option("--commit"), "tree": "", "place": "kernel", "gains": [gain]}
            begun["source"] = SourceRecord.model_validate(gained)
        store.finish(samples.run(**begun, verdict=verdict, reason=reason))
    return 0 if verdict is Verdict.PASSED else 3


if __name__ == "__main__":
    sys.exit(main())
