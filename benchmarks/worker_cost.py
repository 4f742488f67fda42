"""What a real worker costs its node, CPU seconds as one line of JSON; run by `benchmarks.costs` in a fresh process."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    """Start as a worker does, run the canary, build and make one trial of flash-s2 on a2a3sim; print what each took."""
    before = time.process_time()  # of an empty interpreter: Ray has one ready
    import torch

    import farm.leasing.worker  # noqa: F401  # what its process imports
    from farm import paths
    from jobs import build, probe, trial
    from jobs.records import TrialRequest
    from kernel.registry import find_kernel, find_platform

    torch.set_num_threads(1)
    platform = find_platform("a2a3sim")
    kernel = find_kernel("qkv_proj_rope")
    marks = {"worker_start_s": time.process_time() - before}

    def timed(name: str, call: Callable[[], object]) -> None:
        begun = time.process_time()
        call()
        marks[name] = time.process_time() - begun

    request = TrialRequest(
        kernel=kernel.name, case="flash-s2", platform="a2a3sim", input_set=next(iter(kernel.input_sets))
    )
    with tempfile.TemporaryDirectory(prefix="costs-") as name:
        directory = Path(name)

        def one() -> None:
            record = trial.run_trial(request, 0, "n/0", 0, 0, platform, directory / "trial", paths.cache())
            assert record.failure is None, record.failure

        def canary() -> None:
            platform.prepare(paths.cache())  # builds the calculator once a machine, in a compiler's process
            probe.probe(0, platform, directory, paths.cache())

        timed("canary_s", canary)
        timed("sim_build_s", lambda: build.build(request, platform, directory / "cache"))
        one()  # the golden is computed once a machine
        timed("sim_trial_s", one)
    print(json.dumps(marks))


if __name__ == "__main__":
    main()
