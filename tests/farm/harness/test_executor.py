"""Who runs what on which devices, on a lease and trials in flight that exist on paper only."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from farm.execution.in_flight import InFlightTrial, TrialOutcome
from farm.execution.observer import Observer
from farm.harness.executor import HarnessExecutor
from farm.model.run import DeviceRecord
from jobs.records import Failure, Fault, TrialRecord, TrialRequest
from kernel.harness.head import Head

HANG = Failure(fault=Fault.DEVICE, kind="hang", message="no end")
RAISED = Failure(fault=Fault.KERNEL, kind="kernel-raised", message="NameError")


def head(devices: int = 1) -> Head:
    return Head(runnable=True, devices=devices, skipped="", arguments=(), replays=True)


@dataclass
class PaperLease:
    """Devices by slot, two a node; renewing one keeps it. Somebody who goes first comes after so many starts."""

    count: int
    renewed: list[int] = field(default_factory=list)
    wanted_after: int = -1  # −1: nobody comes
    started: int = 0
    given: int = 0
    under_way: int = 0
    given_with: int = -1  # trials under way when the devices were given up

    @property
    def yields(self) -> bool:
        return self.wanted_after >= 0

    def wanted_by_others(self) -> list[str]:
        return ["somebody"] if self.started >= self.wanted_after and not self.given else []

    def yield_devices(self, on_wait: Any) -> None:
        self.given += 1
        self.given_with = self.under_way

    @property
    def slots(self) -> list[int]:
        return list(range(self.count))

    def device(self, slot: int) -> DeviceRecord:
        node = f"node{slot // 2}"
        return DeviceRecord(
            id=f"{node}/{slot}", node=node, node_id=node, index=slot, soc="", platform="x", pid=0, card=str(slot)
        )

    def renew(self, slot: int) -> None:
        self.renewed.append(slot)


@dataclass
class PaperFlights:
    """Every trial ends at the next look, as `fails` says by file, but slow.py at the twentieth without any other."""

    lease: PaperLease
    fails: dict[str, Failure]
    flown: list[tuple[str, int, str, dict[str, str]]] = field(default_factory=list)  # file, slot, repeat/attempt, knobs
    most: int = 0
    _looks: int = 0
    _waiting: list[tuple[int, TrialRequest, int, int]] = field(default_factory=list)

    def start(self, slot: int, label: str, request: TrialRequest, repeat: int, attempt: int) -> None:
        self.flown.append((request.case, slot, f"{repeat}/{attempt}", dict(request.tuning)))
        self.lease.started += 1
        self.lease.under_way += 1
        self._waiting.append((slot, request, repeat, attempt))
        self.most = max(self.most, len(self._waiting))

    def poll(self) -> list[TrialOutcome]:
        if not self._waiting:
            return []
        quick = [flight for flight in self._waiting if flight[1].case != "slow.py"]
        if not quick and self._looks < 20:
            self._looks += 1
            time.sleep(0.01)
            return []
        ended = (quick or self._waiting)[0]
        self._waiting.remove(ended)
        self.lease.under_way -= 1
        slot, request, repeat, attempt = ended
        failure = self.fails.get(request.case)
        own = failure is not None and failure.fault is Fault.KERNEL
        record = TrialRecord.model_validate(
            {
                "case": request.case,
                "device": self.lease.device(slot).id,
                "repeat": repeat,
                "attempt": attempt,
                "status": "failed" if own else "errored" if failure else "ok",
                "clock": "simulated",
                "failure": failure,
            }
        )
        return [TrialOutcome(slot, InFlightTrial("", request, repeat, attempt, None, 0.0, Path()), record)]

    def under_way(self) -> list[str]:
        return []


class NoLimits:
    def check(self, under_way: list[str]) -> None:
        pass


def conducted(
    heads: dict[str, Head],
    *,
    count: int,
    repeats: int = 1,
    fails: dict[str, Failure] | None = None,
    freezes: str = "",
    wanted_after: int = -1,
) -> tuple[HarnessExecutor, PaperFlights, list[TrialRecord]]:
    lease, kept = PaperLease(count, wanted_after=wanted_after), list[TrialRecord]()
    in_flight = PaperFlights(lease, fails or {})
    paper: dict[str, Any] = {"lease": lease, "in_flight": in_flight, "limits": NoLimits()}
    conductor = HarnessExecutor(
        **paper,
        observer=Observer(),
        template=TrialRequest(kernel="k", case="", platform="x", input_set="own"),
        heads=heads,
        repeats=repeats,
        freezes=frozenset({freezes} - {""}),
        data=Path("/data"),
        keep=kept.append,
    )
    conductor.run()
    return conductor, in_flight, kept


def test_every_file_runs_as_often_as_asked_and_devices_work_side_by_side() -> None:
    _, in_flight, kept = conducted({f"{number}.py": head() for number in range(5)}, count=3, repeats=2)

    assert sorted((record.case, record.repeat) for record in kept) == [
        (f"{number}.py", repeat) for number in range(5) for repeat in range(2)
    ]
    assert in_flight.most == 3


def test_devices_are_given_up_at_a_trial_boundary_and_the_rest_runs_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("farm.leasing.preemption._ASK_S", 0.0)
    conductor, in_flight, kept = conducted({f"{number}.py": head() for number in range(5)}, count=2, wanted_after=2)

    lease: Any = conductor.lease
    assert (lease.given, lease.given_with) == (1, 0)
    assert lease.started == len(in_flight.flown) == len(kept) == 5


def test_nobody_is_waited_for_when_nothing_is_left_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.leasing.preemption._ASK_S", 0.0)
    conductor, _, kept = conducted({"one.py": head()}, count=1, wanted_after=1)

    lease: Any = conductor.lease
    assert (lease.given, len(kept)) == (0, 1)


def test_a_file_that_takes_two_devices_gets_them_of_one_node() -> None:
    conductor, in_flight, kept = conducted({"two.py": head(2), "one.py": head()}, count=3, repeats=3)

    two = [(slot, knobs["beside"]) for file, slot, _, knobs in in_flight.flown if file == "two.py"]
    assert two == [(0, "1")] * 3
    assert [record.beside for record in kept if record.case == "two.py"] == [["node0/1"]] * 3
    assert not conductor.unreached


def test_a_file_that_fits_on_no_node_is_left_and_the_others_run() -> None:
    conductor, _, kept = conducted({"three.py": head(3), "one.py": head()}, count=4)

    assert conductor.unreached == ["three.py"]
    assert [record.case for record in kept] == ["one.py"]


def test_a_hang_is_tried_on_another_device_and_two_prove_it() -> None:
    conductor, in_flight, kept = conducted({"hangs.py": head(), "fine.py": head()}, count=2, fails={"hangs.py": HANG})

    tried = [slot for file, slot, _, _ in in_flight.flown if file == "hangs.py"]
    assert sorted(tried) == [0, 1]
    assert [failure.kind for failure in conductor.blames["hangs.py"].kernel] == ["hang"]
    assert not conductor.blames["fine.py"].kernel
    assert sorted(conductor.lease.renewed) == [0, 1]  # type: ignore[attr-defined]
    assert len(kept) == 3


def test_a_hang_waits_for_another_device_though_its_own_is_free_again() -> None:
    _, in_flight, _ = conducted({"hangs.py": head(), "slow.py": head()}, count=2, fails={"hangs.py": HANG})

    assert [slot for file, slot, _, _ in in_flight.flown if file == "hangs.py"] == [0, 1]


def test_on_a_single_device_a_hang_proves_nothing() -> None:
    conductor, in_flight, _ = conducted({"hangs.py": head()}, count=1, fails={"hangs.py": HANG})

    assert [attempt for _, _, attempt, _ in in_flight.flown] == ["0/0", "0/1"]
    assert conductor.blames["hangs.py"].kernel == []


def test_a_failure_of_the_file_itself_is_not_tried_again() -> None:
    _, in_flight, _ = conducted({"bad.py": head()}, count=1, repeats=3, fails={"bad.py": RAISED})

    assert [attempt for _, _, attempt, _ in in_flight.flown] == ["0/0"]


def test_the_first_trial_keeps_the_data_that_the_others_take() -> None:
    _, in_flight, _ = conducted({"steady.py": head()}, count=3, repeats=3, freezes="steady.py")

    knobs = [knobs for _, _, _, knobs in in_flight.flown]
    assert [sorted(each) for each in knobs] == [["beside", "save", "seed"], *[["beside", "replay", "seed"]] * 2]
    assert {each.get("save") or each.get("replay") for each in knobs} == {"/data/steady.py-a0"}


def test_where_the_first_trial_is_lost_no_other_waits_for_its_data() -> None:
    _, in_flight, _ = conducted(
        {"steady.py": head()}, count=2, repeats=3, freezes="steady.py", fails={"steady.py": HANG}
    )

    assert [attempt for _, _, attempt, _ in in_flight.flown] == ["0/0", "0/1"]
