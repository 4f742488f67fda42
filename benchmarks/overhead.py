"""What the farm costs over the work itself: one run on N devices against the same trials in a plain loop without Ray.

    python benchmarks/overhead.py --case tiny
    python benchmarks/overhead.py --case flash-s2 --repeats 1

In one process, one after the other: one trial alone (everything cached and imported), the N × R trials of the run in a
loop, and the run itself, Ray's start and end included. Two ratios are printed:

* farm / loop: below 1 where the devices really work side by side;
* farm / ideal, ideal = loop / min(devices, cores): the trials are CPU-bound on the simulated platform, so no scheduler
  can be faster than the cores.

Host seconds of this machine, printed as they were measured; no test asserts them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

if __name__ == "__main__":
    # A script's own directory comes first on its path, where its neighbour would be taken for the package `kernel`.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.machine import watched
from farm import paths
from farm.execution.session import SessionOptions
from farm.model.run import RunRequest, Verdict
from farm.validation.workflow import resolve, run
from jobs.build import build
from jobs.records import TrialRequest, TrialStatus
from jobs.trial import run_trial
from kernel.registry import find_kernel, find_platform


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kernel", default="qkv_proj_rope")
    parser.add_argument("--case", default="tiny")
    parser.add_argument("--platform", default="a2a3sim")
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with watched() as watch:
        measured = measure(options.kernel, options.case, options.platform, options.devices, options.repeats)
    if options.json:
        print(json.dumps({**measured, "machine": watch.machine.as_dict()}, indent=2))
    else:
        for name, value in measured.items():
            print(f"{name:24} {value:.2f}" if isinstance(value, float) else f"{name:24} {value}")
        print(watch.machine.verdict)


def measure(kernel: str, case: str, platform: str, devices: int, repeats: int) -> dict[str, float | int | str]:
    """Host seconds of one trial, of the loop and of the run, and their ratios."""
    torch.set_num_threads(1)  # as in the farm's workers
    input_set = next(iter(find_kernel(kernel).input_sets))
    request = TrialRequest(kernel=kernel, case=case, platform=platform, input_set=input_set)
    runner = find_platform(platform)
    with tempfile.TemporaryDirectory(prefix="overhead-") as scratch:

        def trial(number: int) -> float:
            begin = time.monotonic()
            directory = Path(scratch) / f"trial-{number}"
            record = run_trial(request, 0, "plain/0", number, 0, runner, directory, paths.cache())
            assert record.status is TrialStatus.OK, record.failure
            return time.monotonic() - begin

        build(request, runner, paths.cache())
        trial(0)  # imports, library and golden: paid once, by loop and farm alike
        seconds = [trial(number) for number in range(1, devices * repeats + 1)]
        asked = RunRequest(
            kernel=kernel,
            cases=[case],
            platform=platform,
            devices=devices,
            repeats=repeats,
            input_set=input_set,
            seed=0,
        )
        begin = time.monotonic()
        how = SessionOptions(out=Path(scratch))
        record = run(resolve(asked, how), how)
        farm_s = time.monotonic() - begin
        assert record.verdict in (Verdict.PASSED, Verdict.FAILED), record.reason
    cores = len(os.sched_getaffinity(0))
    ideal_s = sum(seconds) / min(devices, cores)
    return {
        "case": case,
        "devices": devices,
        "repeats": repeats,
        "cores": cores,
        "single_trial_s": sorted(seconds)[len(seconds) // 2],
        "loop_s": sum(seconds),
        "ideal_s": ideal_s,
        "farm_s": farm_s,
        "farm_over_loop": farm_s / sum(seconds),
        "farm_over_ideal": farm_s / ideal_s,
        "farm_minus_single_trial_s": farm_s - sorted(seconds)[len(seconds) // 2],
    }


if __name__ == "__main__":
    main()
