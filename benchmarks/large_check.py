"""1,000 targets in one check: python -m benchmarks.large_check.

One run of a suite's files with nine tasks a trial, one in 50 of them failed. Measured is how long each report takes
that a check or its page is made of, and how large it becomes. The reference, in the same run, is the JSON of the same
record by the standard library.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.machine import watched
from farm.model.run import GateRecord, GateStatus, RunRecord, RunRequest, Verdict
from farm.report.formats import FORMATS
from farm.timestamps import now
from jobs.records import ClaimRecord, Failure, Fault, TaskRecord, TrialRecord, TrialStatus
from kernel.clock import Clock

_FAILS = 50  # one in so many
_TASKS = 9
_PLAIN = "json.dumps of the record"


@dataclass(frozen=True, slots=True)
class Made:
    """One report of the record."""

    what: str
    seconds: float  # median
    kilobytes: float


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    with watched() as watch:
        found = measure(chosen.targets, chosen.times)
    if chosen.json:
        print(json.dumps({"reports": [asdict(each) for each in found], "machine": watch.machine.as_dict()}, indent=1))
        return 0
    print(f"{chosen.targets} targets\n\n| report | median | size | median / json.dumps |\n|---|---:|---:|---:|")
    for each in found:
        ratio = each.seconds / found[0].seconds
        print(f"| {each.what} | {each.seconds * 1e3:.0f} ms | {each.kilobytes:.0f} kB | {ratio:.1f} |")
    print(f"\n{watch.machine.verdict}")
    return 0


def measure(targets: int, times: int) -> list[Made]:
    """The reference first, then every report format."""
    run = record(targets)
    plain = run.model_dump(mode="json")
    made = [_made(_PLAIN, lambda: json.dumps(plain), times)]
    return made + [_made(reporter.filename, _writer(reporter.write, run), times) for reporter in FORMATS.values()]


def record(targets: int) -> RunRecord:
    """A run of that many targets on one device, as one of a suite's files is recorded."""
    names = [f"kernels/test_{number:04d}.py" for number in range(targets)]
    failed = [name for number, name in enumerate(names) if number % _FAILS == 0]
    reason = f"{len(failed)} of {targets} files failed"
    asked = RunRequest(
        kernel="suite", cases=names, platform="a2a3sim", devices=1, repeats=1, input_set="documented", seed=0
    )
    return RunRecord(
        run_id="20261130-120000-abcdef",
        verdict=Verdict.FAILED if failed else Verdict.PASSED,
        reason=reason,
        kernel=asked.kernel,
        cases=names,
        platform=asked.platform,
        clock=Clock.SIMULATED,
        commit="c" * 40,
        started_at=now(),
        finished_at=now(),
        request=asked,
        toolchain={"pypto": "0.2.0"},
        devices=[],
        builds=[],
        trials=[_trial(name, name in failed) for name in names],
        gates=[GateRecord(name="trials", status=GateStatus.FAILED)],
        median_us={},
        budget={},
    )


def _trial(name: str, failed: bool) -> TrialRecord:
    wrong = Failure(fault=Fault.KERNEL, kind="numbers", message=f"{name} differs", log="logs/trial.log")
    tasks = [
        TaskRecord(name=f"t{n}", stage=f"s{n % 3}", core=f"AIC_{n}", start_us=n * 1.0, duration_us=1.0)
        for n in range(_TASKS)
    ]
    return TrialRecord(
        case=name,
        device="node/0",
        repeat=0,
        attempt=0,
        status=TrialStatus.FAILED if failed else TrialStatus.OK,
        clock=Clock.SIMULATED,
        wall_us=None if failed else 9.0,
        claims={} if failed else {"y": ClaimRecord(passed=True, sha256="a" * 64)},
        tasks=tasks,
        fingerprint="f" * 64,
        failure=wrong if failed else None,
    )


def _writer(write: Callable[[RunRecord], str | bytes], run: RunRecord) -> Callable[[], str | bytes]:
    return lambda: write(run)


def _made(what: str, make: Callable[[], str | bytes], times: int) -> Made:
    content = make()
    size = len(content.encode() if isinstance(content, str) else content)
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        make()
        taken.append(time.perf_counter() - begun)
    return Made(what, statistics.median(taken), size / 1e3)


if __name__ == "__main__":
    sys.exit(main())
