"""Memory that a driver needs for a run of many trials: python -m benchmarks.run_memory

Trials of `flash-s2`'s size land as they do from workers, pickled, and are held until the reports are written, which is
what `farm run` does. Prints the resident memory of this process before, with all of them, and its peak meanwhile; and,
in a process of its own, the same with tasks that are not packed.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from benchmarks import arms, large_check
from farm.report.json_report import JsonReport
from farm.report.write import write_reports
from jobs.packed_tasks import packed

TASKS = 155
DEVICES = 100


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--plain", action="store_true", help="with tasks that are not packed, and one string of JSON")
    options = parser.parse_args()
    print(("plain " if options.plain else "packed"), measured(options.trials, plain=options.plain), flush=True)
    if not options.plain:
        command = [sys.executable, "-m", "benchmarks.run_memory", "--plain", "--trials", str(options.trials)]
        subprocess.run(command, check=True)


def measured(trials: int, *, plain: bool) -> str:
    """A line of numbers, in MB."""
    whole = arms.full_record(TASKS)
    landed = pickle.dumps(whole if plain else packed(whole))
    before = _mb()
    held = []
    for number in range(trials):
        record = pickle.loads(landed)
        named = {"device": f"n{number % DEVICES}/0", "repeat": number // DEVICES}
        held.append(record.model_copy(update=named))
    run = large_check.record(0).model_copy(update={"cases": [whole.case], "trials": held})
    holding = _mb()
    with tempfile.TemporaryDirectory(prefix="run-memory-") as directory:
        if plain:
            JsonReport().write(run)
        else:
            write_reports(run, Path(directory))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each_kb = 1024 * (holding - before) / trials
    return f"{before:.0f} MB before, {holding:.0f} with {trials} trials ({each_kb:.1f} kB each), {peak:.0f} at the peak"


def _mb() -> float:
    return float(psutil.Process().memory_info().rss) / (1 << 20)


if __name__ == "__main__":
    main()
