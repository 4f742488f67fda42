"""The one device of a local run behind the interface of a lease, with a worker that exists on paper only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from farm.errors import InfrastructureError
from farm.leasing.device_lease import DeviceLease, WorkerLostError
from farm.leasing.local_device import LocalDevice
from farm.leasing.local_lease import LocalLease
from farm.model.run import DeviceRecord
from jobs.records import ProbeRecord, TrialRequest
from tests.farm import samples

REQUEST = TrialRequest(kernel="small", case="small", platform="fake", tuning={}, input_set="integers", seed=0)


@dataclass
class PaperWorker:
    """Answers what it is given, one answer a call; an exception is raised."""

    answers: list[Any] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    stage: str = "run"
    ends: int = 0

    def ask(self, method: str, *arguments: Any) -> None:
        self.asked.append((method, *arguments))

    def answer(self, key: str, timeout_s: float) -> Any:
        if not self.answers:
            return None
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def end(self) -> None:
        self.ends += 1


class PaperDevice:
    """Hands out workers."""

    def __init__(self, *workers: PaperWorker, healthy: bool = True) -> None:
        self.left = list(workers)
        self.healthy = healthy
        self.prepared = 0

    def worker(self) -> tuple[PaperWorker, DeviceRecord, ProbeRecord]:
        probe = ProbeRecord(device=0, healthy=self.healthy, detail="of paper", probe_s=0.0)
        return self.left.pop(0), samples.device(0), probe

    def prepare(self) -> None:
        self.prepared += 1


def lease(device: PaperDevice) -> LocalLease:
    return LocalLease(cast(LocalDevice, device))


def test_it_is_a_lease_of_one_slot_and_prepares_the_next_worker_at_its_end() -> None:
    worker = PaperWorker()
    device = PaperDevice(worker)

    with lease(device) as held:
        as_any_other: DeviceLease = held
        assert (as_any_other.slots, as_any_other.held) == ([0], [samples.device(0)])
        assert (as_any_other.yields, as_any_other.wanted_by_others(), as_any_other.queue_s) == (False, [], 0.0)
        assert as_any_other.stages() == {0: "run"}

    assert held.slots == []
    assert (worker.ends, device.prepared) == (1, 1)


def test_a_trial_is_the_workers_answer() -> None:
    record = samples.trial("local/0")
    worker = PaperWorker([None, record.model_dump(mode="json")])

    with lease(PaperDevice(worker)) as held:
        call = held.start_trial(0, REQUEST, "local/0", 0, 0, "/nowhere")
        assert held.ended([call], 0.0) == []
        assert held.ended([call], 10.0) == [call]
        assert held.result(call) == record
    assert [asked[0] for asked in worker.asked] == ["trial"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (WorkerLostError("WorkerCrashedError", "exit code 139"), "exit code 139"),
        ({"case": "tiny"}, "record cannot be read"),
        ("not a record", "record cannot be read"),
    ],
)
def test_a_worker_that_gives_no_record_is_lost(answer: object, words: str) -> None:
    with lease(PaperDevice(PaperWorker([answer]))) as held:
        call = held.start_build(0, REQUEST)
        assert held.ended([call], 10.0) == [call]
        with pytest.raises(WorkerLostError, match=words):
            held.result(call)


def test_a_replaced_worker_is_a_fresh_process_on_the_same_device() -> None:
    first, second = PaperWorker(), PaperWorker()

    with lease(PaperDevice(first, second)) as held:
        replaced = held.replace(0)
        assert (replaced.moved, replaced.unfit) == (False, "")
        assert (first.ends, second.ends) == (1, 0)
        assert held.slots == [0]


def test_a_device_that_fails_its_canary_gets_no_work() -> None:
    worker = PaperWorker()

    with (
        pytest.raises(InfrastructureError, match="failed its canary: of paper"),
        lease(PaperDevice(worker, healthy=False)),
    ):
        pytest.fail("it was leased")
    assert worker.ends == 1
