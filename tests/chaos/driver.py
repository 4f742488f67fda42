"""One author's process: takes runs from the command line, one after the other, on a shared cluster.

    python -m tests.chaos.driver ADDRESS OUT WORK...

where each WORK is `honest`, `wrong`, or, to resume a run, `honest:RUN`. The platforms answer with the golden, so what
is tried here is everything around the kernel, at the speed of the farm and not of a compiler.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from farm import paths
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import DeviceRecord, RunRecord, RunRequest, Verdict
from farm.store.run_store import Store
from kernel.spec import Tensors
from tests.fakes import platforms
from tests.farm.validated import run

WAIT_S = 300.0
_TRIAL_S = 0.3  # long enough that a kill meets trials and not only what lies between them


class Honest(platforms.Honest):
    """Right, and not at once."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        time.sleep(_TRIAL_S)


class Wrong(Honest):
    """Wrong on every device in the same way: must never pass."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        super().disturb(outputs, device)
        outputs["q"].mul_(1.5)


PLATFORMS = {"honest": Honest, "wrong": Wrong}


class _Tells(Observer):
    """Says which run has begun, for whoever wants to hit it."""

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        print(f"began {run_id}", flush=True)


def request() -> RunRequest:
    return RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=3,
        input_set="documented",
        seed=0,
    )


def carry_out(work: str, address: str, out: Path) -> RunRecord:
    kind, _, resumed = work.partition(":")
    options = SessionOptions(
        out=out,
        address=address,
        wait_s=WAIT_S,
        platform=PLATFORMS[kind],
        budgets={"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")},
    )
    if not resumed:
        return run(request(), options, _Tells())
    with Store.open(paths.store_url()) as store:
        before = store.get(resumed)
    if before.verdict is not Verdict.ERRORED:
        return before  # its driver was killed after the verdict
    return run(before.request, options, _Tells(), before)


def main() -> None:
    address, out, *works = sys.argv[1:]
    for work in works:
        print(f"wants {work}", flush=True)
        record = carry_out(work, address, Path(out))
        assert record.verdict is not None
        print(f"ended {record.run_id} {record.verdict.value}", flush=True)


if __name__ == "__main__":
    main()
