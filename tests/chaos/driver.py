"""One author's process: takes runs one after the other, on a shared cluster, and tells how each ends.

It is forked from a process that has loaded everything, so that killing it costs seconds and not a minute. The platforms
answer with the golden, so what is tried here is everything around the kernel, at the speed of the farm and not of a
compiler.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import ray  # noqa: F401 - loaded before the fork

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
DEVICES = 2  # of each run
_TRIAL_S = 0.3  # long enough that a fault meets trials and not only what lies between them


@dataclass(frozen=True, slots=True)
class Orders:
    """Where a driver works, and what it is to run: `honest`, `wrong`, or, to resume a run, `honest:RUN`."""

    address: str
    home: Path
    store: str
    errors: Path
    works: Sequence[str]


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


class _Reports(Observer):
    """Names the run that has begun, for whoever wants to hit it."""

    def __init__(self, messages: Connection) -> None:
        self._messages = messages

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        self._messages.send(("began", run_id, ""))


def request() -> RunRequest:
    return RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=DEVICES,
        repeats=3,
        input_set="documented",
        seed=0,
    )


def carry_out(work: str, orders: Orders, observer: Observer) -> RunRecord:
    kind, _, resumed = work.partition(":")
    options = SessionOptions(
        out=orders.home / "runs",
        address=orders.address,
        wait_s=WAIT_S,
        platform=PLATFORMS[kind],
        budgets={"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")},
    )
    if not resumed:
        return run(request(), options, observer)
    with Store.open(paths.store_url()) as store:
        before = store.get(resumed)
    if before.verdict is not Verdict.ERRORED:
        return before  # its driver was killed after the verdict
    return run(before.request, options, observer, before)


def serve(orders: Orders, messages: Connection) -> None:
    """Carry out `orders`; the process ends with them."""
    os.environ.update(FARM_HOME=str(orders.home), FARM_STORE=orders.store)
    with orders.errors.open("w") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    for work in orders.works:
        record = carry_out(work, orders, _Reports(messages))
        assert record.verdict is not None
        messages.send(("ended", record.run_id, record.verdict.value))
