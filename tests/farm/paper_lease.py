"""A lease and trials in flight that exist on paper only, for the workloads of the dispatch loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from farm.errors import InfrastructureError
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrial, InFlightTrials, TrialOutcome
from farm.leasing.device_lease import DeviceLease, Replaced, card_of
from farm.model.run import DeviceRecord
from jobs.records import Failure, Fault, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock

Answer = Callable[[str, TrialRequest, int, int], "Failure | None"]  # device, request, repeat, attempt → what goes wrong


class PaperLease:
    """Holds devices, one a slot. `spares` are what a slot moves to; with `broken` no slot can be recovered."""

    def __init__(self, held: Sequence[DeviceRecord], spares: Sequence[DeviceRecord] = ()) -> None:
        self.held = dict(enumerate(held))
        self.slots = list(self.held)
        self.spares = list(spares)
        self.broken = False
        self.moves_when_renewed = False  # as where the canary of the device fails in the fresh process
        self.unfit_when_moved = True  # as there, and not where the host of the device is overloaded
        self.renewed: list[str] = []
        self.replaced: list[str] = []
        self.others_wait = False
        self.given_back = 0
        self.given_back_with = -1  # trials under way then
        self.under_way: Callable[[], int] = lambda: 0

    @property
    def yields(self) -> bool:
        return self.others_wait

    def wanted_by_others(self) -> list[str]:
        return ["somebody"] if self.others_wait else []

    def yield_devices(self, on_wait: Any) -> None:
        self.others_wait = False
        self.given_back += 1
        self.given_back_with = self.under_way()

    def device(self, slot: int) -> DeviceRecord:
        return self.held[slot]

    def stages(self) -> dict[int, str]:
        return {}

    def renew(self, slot: int) -> Replaced | None:
        left = self.held[slot]
        self.renewed.append(left.id)
        self._require_working(slot)
        if not (self.moves_when_renewed and self.spares):
            return None
        self.held[slot] = self.spares.pop(0)
        return Replaced(True, card_of(left) if self.unfit_when_moved else "")

    def replace(self, slot: int) -> Replaced:
        self.replaced.append(self.held[slot].id)
        self._require_working(slot)
        moved = bool(self.spares)
        if moved:
            self.held[slot] = self.spares.pop(0)
        return Replaced(moved, "")

    def _require_working(self, slot: int) -> None:
        if self.broken:
            self.slots.remove(slot)
            raise InfrastructureError("the worker did not start")


@dataclass
class PaperTrials:
    """Every trial ends at the next look, as `answer` says."""

    on: PaperLease
    answer: Answer = lambda device, request, repeat, attempt: None
    started: list[tuple[str, str, int, int]] = field(default_factory=list)  # device, case, repeat, attempt
    most: int = 0  # trials under way at once
    flying: list[tuple[int, InFlightTrial]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.on.under_way = lambda: len(self.flying)

    @property
    def lease(self) -> DeviceLease:
        return cast(DeviceLease, self.on)

    @property
    def paper(self) -> InFlightTrials:
        return cast(InFlightTrials, self)

    def start(self, slot: int, label: str, request: TrialRequest, repeat: int, attempt: int) -> None:
        assert slot not in [busy for busy, _ in self.flying], "one trial a slot"
        self.started.append((self.on.device(slot).id, request.case, repeat, attempt))
        self.flying.append((slot, InFlightTrial(label, request, repeat, attempt, None, 0.0, Path())))
        self.most = max(self.most, len(self.flying))

    def poll(self) -> list[TrialOutcome]:
        ended, self.flying = self.flying, []
        return [TrialOutcome(slot, flight, self._record(slot, flight)) for slot, flight in ended]

    def under_way(self) -> list[str]:
        return [flight.label for _, flight in self.flying]

    def _record(self, slot: int, flight: InFlightTrial) -> TrialRecord:
        device = self.on.device(slot).id
        failure = self.answer(device, flight.request, flight.repeat, flight.attempt)
        own = failure is not None and failure.fault is Fault.KERNEL
        return TrialRecord(
            case=flight.request.case,
            device=device,
            repeat=flight.repeat,
            attempt=flight.attempt,
            seed=flight.request.seed,
            arm=flight.request.arm,
            status=TrialStatus.FAILED if own else TrialStatus.ERRORED if failure else TrialStatus.OK,
            clock=Clock.SIMULATED,
            failure=failure,
        )


class NoDeadlines:
    """Never over."""

    def check(self, under_way: Sequence[str] = ()) -> None:
        """Nothing to check."""

    @classmethod
    def paper(cls) -> RunDeadlines:
        return cast(RunDeadlines, cls())
