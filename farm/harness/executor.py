"""Drives a harness's files over leased devices: whichever device is free takes the next, some take several at once.

A fault that may be anyone's is tried again on another device, as often as `farm.execution.failure_policy` allows; the
device it was seen on gets a canary. Each file has evidence of its own: what one file does to a device is not held
against the next. Every trial is a process of its own, so a file that fails costs its device nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.execution.deadlines import RunDeadlines
from farm.execution.failure_policy import FailurePolicy
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.execution.slot_recovery import SlotRecovery
from farm.leasing.lease import Lease, card_of
from farm.leasing.preemption import PreemptionCheck
from farm.model.run import DeviceRecord
from farm.text import slug
from jobs.records import Failure, TrialRecord, TrialRequest, TrialStatus
from kernel.harness.head import Head


@dataclass(frozen=True, slots=True)
class Turn:
    """One trial that waits for its devices."""

    file: str
    repeat: int
    attempt: int = 0
    avoid: frozenset[str] = frozenset()  # devices that are to be no witness twice, while there are others


@dataclass(slots=True)
class HarnessExecutor:
    """Runs files on one lease. For one use."""

    lease: Lease
    in_flight: InFlightTrials
    limits: RunDeadlines
    observer: Observer
    template: TrialRequest
    heads: Mapping[str, Head]
    repeats: int
    freezes: frozenset[str]  # files whose first trial keeps its data for the others
    data: Path  # where those are kept
    keep: Callable[[TrialRecord], None]
    blames: dict[str, FailurePolicy] = field(default_factory=lambda: defaultdict(FailurePolicy))
    problems: list[Failure] = field(default_factory=list)
    _queue: deque[Turn] = field(default_factory=deque)
    _flying: dict[int, tuple[Turn, tuple[int, ...]]] = field(default_factory=dict)  # first slot → turn, all its slots
    _idle: set[int] = field(default_factory=set)
    _seats: dict[int, DeviceRecord] = field(default_factory=dict)  # slot → device, those being mended included
    _kept_by: dict[str, int] = field(default_factory=dict)  # file → attempt whose data the others take

    def run(self) -> None:
        """Run every file; returns when each has ended or nothing is left to run it on.

        Raises `LimitError`, and what `Lease.give_way` raises.
        """
        many_first = sorted(self.heads, key=lambda file: (-self.heads[file].devices, file))
        for file in many_first:
            first = 1 if file in self.freezes else self.repeats
            self._queue.extend(Turn(file, repeat) for repeat in range(first))
        self._sit_down()
        leave = PreemptionCheck(self.lease)
        with SlotRecovery() as mending:
            while self._queue or self._flying or mending:
                leaving = leave.wanted()
                if not leaving:
                    self._start()
                if not self._flying and not mending:
                    if not leaving:
                        break  # what is left fits on no device of this lease
                    self.lease.yield_devices(self.observer.waiting)
                    self._sit_down()
                    continue
                self.limits.check(self.in_flight.under_way())
                for outcome in self.in_flight.poll():
                    self._land(outcome, mending)
                self._mended(mending)

    def _sit_down(self) -> None:
        """Every device of the lease is idle."""
        self._seats = {slot: self.lease.device(slot) for slot in self.lease.slots}
        self._idle = set(self._seats)

    @property
    def unreached(self) -> list[str]:
        """Files with trials that fitted on no device."""
        return list(dict.fromkeys(turn.file for turn in self._queue))

    def _start(self) -> None:
        """Give idle devices the next trials. One that needs several waits for them before later ones go on."""
        waiting: list[Turn] = []
        while self._queue and self._idle:
            turn = self._queue.popleft()
            slots = self._slots_for(turn)
            if slots:
                self._fly(turn, slots)
                continue
            waiting.append(turn)
            if self.heads[turn.file].devices > 1 and self._could_fit(turn):
                break
        self._queue.extendleft(reversed(waiting))

    def _slots_for(self, turn: Turn) -> tuple[int, ...]:
        """Idle slots of one node for `turn`, those it should not avoid first; none where there are too few."""
        for idle in (self._eligible(turn, self._idle), self._idle if not self._others(turn) else set()):
            if slots := self._on_one_node(self.heads[turn.file].devices, idle):
                return slots
        return ()

    def _eligible(self, turn: Turn, slots: Iterable[int]) -> set[int]:
        return {slot for slot in slots if self._seats[slot].id not in turn.avoid}

    def _others(self, turn: Turn) -> bool:
        """Whether devices it should not avoid will come free."""
        return bool(self._on_one_node(self.heads[turn.file].devices, self._eligible(turn, self._seats)))

    def _could_fit(self, turn: Turn) -> bool:
        return bool(self._on_one_node(self.heads[turn.file].devices, self._seats))

    def _on_one_node(self, count: int, slots: Iterable[int]) -> tuple[int, ...]:
        by_node: dict[str, list[int]] = defaultdict(list)
        for slot in sorted(slots):
            by_node[self._seats[slot].node_id].append(slot)
        return next((tuple(on_node[:count]) for on_node in by_node.values() if len(on_node) >= count), ())

    def _fly(self, turn: Turn, slots: tuple[int, ...]) -> None:
        beside = ",".join(str(self._seats[slot].index) for slot in slots[1:])
        tuning = {"seed": str(self.template.seed), "beside": beside}
        if turn.file in self.freezes:
            tuning["save" if turn.repeat == 0 else "replay"] = str(self.data_of(turn))
        request = self.template.model_copy(update={"case": turn.file, "tuning": tuning})
        self.in_flight.start(slots[0], slug(turn.file), request, turn.repeat, turn.attempt)
        self._flying[slots[0]] = turn, slots
        self._idle.difference_update(slots)

    def data_of(self, turn: Turn) -> Path:
        """Where a file's frozen data are; each attempt of the first trial has a place of its own."""
        attempt = turn.attempt if turn.repeat == 0 else self._kept_by[turn.file]
        return self.data / f"{slug(turn.file)}-a{attempt}"

    def _land(self, outcome: TrialOutcome, mending: SlotRecovery) -> None:
        turn, slots = self._flying.pop(outcome.slot)
        devices = [self._seats[slot] for slot in slots]
        record = outcome.record.model_copy(update={"beside": [device.id for device in devices[1:]]})
        blame = self.blames[turn.file]
        blame.take(record, "+".join(sorted({card_of(device) for device in devices})))
        self.keep(record)
        self.observer.measured(record, kept=True)
        if record.status is TrialStatus.OK:
            self._go_on_frozen(turn)
        elif record.failure is not None and blame.may_retry(record.failure, turn.attempt):
            avoid = turn.avoid | {device.id for device in devices}
            self._queue.appendleft(replace(turn, attempt=turn.attempt + 1, avoid=avoid))
        else:
            self._drop(turn.file)
        if record.status is TrialStatus.ERRORED:
            for slot in slots:
                mending.begin(slot, self.lease.renew)  # a fresh process, and a canary in it
        else:
            self._idle.update(slots)

    def _go_on_frozen(self, turn: Turn) -> None:
        """Once the first trial has kept its data, the others may take them."""
        if turn.file in self.freezes and turn.repeat == 0:
            self._kept_by[turn.file] = turn.attempt
            self._queue.extendleft(Turn(turn.file, repeat) for repeat in reversed(range(1, self.repeats)))

    def _drop(self, file: str) -> None:
        """A file that failed, or has no attempt left, is not tried again; the other files go on."""
        self._queue = deque(turn for turn in self._queue if turn.file != file)

    def _mended(self, mending: SlotRecovery) -> None:
        mended, lost = mending.done()
        self._idle.update(mended)
        self._seats.update({slot: self.lease.device(slot) for slot in mended})
        for slot in lost:
            del self._seats[slot]
        self.problems.extend(lost.values())
