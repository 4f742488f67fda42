"""Which commit is tested on which slot, on a lease and trials in flight that exist on paper only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from farm.bisect import executor
from farm.bisect.executor import BisectExecutor, CommitTest
from farm.bisect.metrics import Determinism
from farm.execution.in_flight import InFlightTrial, TrialOutcome
from jobs.records import TrialRequest
from kernel.clock import Clock
from tests.farm import evidence

REQUEST = TrialRequest(kernel="k", case="tiny", platform="x", input_set="documented", seed=0)


@dataclass
class PaperFlights:
    """One trial at a time lands, the slot that began first coming first."""

    lease: Any
    directory: Path
    clock: Clock
    trial_s: float
    under_way: list[tuple[int, int]] = field(default_factory=list)  # slot, repeat

    def start(self, slot: int, label: str, request: TrialRequest, repeat: int, attempt: int) -> None:
        assert slot not in [busy for busy, _ in self.under_way]
        self.under_way.append((slot, repeat))

    def poll(self) -> list[TrialOutcome]:
        slot, repeat = self.under_way.pop(0)
        flight = InFlightTrial("", REQUEST, repeat, 0, None, 0.0, Path())
        return [TrialOutcome(slot, flight, evidence.trial(f"n/{slot}", repeat))]


@dataclass
class PaperLease:
    slots: list[int]


def devices_after(slots: Sequence[int], commits: int, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The devices of each commit's trials, by commit."""
    monkeypatch.setattr(executor, "InFlightTrials", PaperFlights)
    lease: Any = PaperLease(list(slots))
    probes = [CommitTest(position, f"c{position}", REQUEST, REQUEST) for position in range(commits)]
    ended: list[CommitTest] = []
    BisectExecutor(lease, Path(), Clock.SIMULATED, 1.0, Determinism()).test(probes, ended.append)
    assert sorted(probe.position for probe in ended) == list(range(commits))
    return [[trial.device for trial in probe.trials] for probe in probes]


@pytest.mark.parametrize(("slots", "commits"), [([0, 1], 1), ([0, 1], 2), ([0, 1, 2], 3), ([0, 2], 5)])
def test_each_commit_has_one_trial_on_another_device_at_last(
    slots: list[int], commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for devices in devices_after(slots, commits, monkeypatch):
        own, (other,) = devices[:3], devices[3:]
        assert len(set(own)) == 1
        assert other not in own


def test_on_a_single_device_a_commit_ends_with_its_own_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_after([4], 2, monkeypatch) == [["n/4"] * 3] * 2
