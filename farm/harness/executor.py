"""The pool placement: whichever device is free takes the next file of a suite, some files take several devices at once.

A fault that may be anyone's is tried again on another device; the device it was seen on gets a canary. Each file has
evidence of its own: what one file does to a device is not held against the next. Every trial is a process of its own,
so a file that fails costs its device nothing.

Where a file has several witnesses, each repeats it on a device of a card of its own. Where the merge base is measured
as well, its trial follows the head's on the same device, or goes before it: they take turns in going first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.execution.deadlines import RunDeadlines
from farm.execution.dispatch_loop import DispatchLoop, FreshProcess, Next, TrialStart
from farm.execution.failure_policy import FailurePolicy
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.harness.turns import Turn, Witnesses
from farm.leasing.device_lease import DeviceLease, Replaced, card_of
from farm.model.run import DeviceRecord
from farm.text import slugs
from jobs.records import Arm, Failure, TrialRecord, TrialRequest, TrialStatus
from kernel.harness.head import Head


@dataclass(slots=True)
class HarnessExecutor:
    """The workload of a suite's files on one lease. For one use."""

    lease: DeviceLease
    in_flight: InFlightTrials
    limits: RunDeadlines
    observer: Observer
    template: TrialRequest
    heads: Mapping[str, Head]
    repeats: int  # trials of each file, over all of its witnesses
    freezes: frozenset[str]  # files whose first trial keeps its data for the others
    data: Path  # where those are kept
    save: Callable[[TrialRecord], None]
    witnesses: Witnesses = field(default_factory=Witnesses)
    trees: Mapping[Arm, str] = field(default_factory=dict)  # content addresses of commits; none for files as they are
    based: dict[str, int] = field(default_factory=dict)  # file → trials of the merge base's that go with the head's
    taken: Mapping[str, frozenset[int]] = field(default_factory=dict)  # file → repeats that need not be made
    blames: dict[str, FailurePolicy] = field(default_factory=lambda: defaultdict(FailurePolicy))
    base_blames: dict[str, FailurePolicy] = field(default_factory=lambda: defaultdict(FailurePolicy))
    problems: list[Failure] = field(default_factory=list)
    _queue: deque[Turn] = field(default_factory=deque)
    _seats: dict[int, DeviceRecord] = field(default_factory=dict)  # slot → device, those being recovered included
    _kept_by: dict[str, int] = field(default_factory=dict)  # file → attempt whose data the others take
    _base_seen: set[str] = field(default_factory=set)  # files of which the merge base has been tried
    _labels: dict[str, str] = field(init=False)  # file → its part of the names of directories

    def __post_init__(self) -> None:
        """Name each file's directories: two files never share one."""
        self._labels = slugs(self.heads)

    def run(self) -> None:
        """Run every file; returns when each has ended or nothing is left to run it on.

        Raises what `DispatchLoop.run` raises.
        """
        many_first = sorted(self.heads, key=lambda file: (-self.heads[file].devices, file))
        for file in many_first:
            first = 1 if file in self.freezes else self.repeats
            done = self.taken.get(file, frozenset())
            self._queue.extend(self._begin(file, repeat) for repeat in range(first) if repeat not in done)
        self._loop()

    def go_on(self, files: Iterable[str], repeats: range) -> None:
        """Make `repeats` of each of `files` and of their bases, on the devices of their witnesses. After `run`."""
        for file in files:
            if file in self.based:
                self.based[file] = repeats.stop
            self._queue.extend(self._begin(file, repeat) for repeat in repeats)
        self._loop()

    def _begin(self, file: str, repeat: int) -> Turn:
        """The first trial of a repeat: the head's, unless it is the base's turn to go first."""
        arm = Arm.BASE if repeat % 2 and self._has_base(file, repeat) and file not in self.freezes else Arm.HEAD
        return Turn(file, repeat, arm)

    def _has_base(self, file: str, repeat: int) -> bool:
        return repeat < self.based.get(file, 0) and not self.base_blames[file].kernel

    def look_again(self, devices: Mapping[str, Collection[str]], repeats: range) -> None:
        """Make `repeats` of each file of `devices` on just those devices (ids) of it. After `run`, and as it does."""
        for file, again in devices.items():
            self._queue.extend(Turn(file, repeat, only=device) for device in sorted(again) for repeat in repeats)
        self._loop()

    def _loop(self) -> None:
        loop: DispatchLoop[Turn] = DispatchLoop(self.lease, self.in_flight, self.limits, self.observer)
        loop.run(self)

    def can_repeat(self, file: str) -> bool:
        """Whether a further trial of `file` would have the operands of the ones before."""
        return file not in self.freezes or file in self._kept_by

    @property
    def unreached(self) -> list[str]:
        """Files with trials that fitted on no device."""
        return list(dict.fromkeys(turn.file for turn in self._queue))

    def seat(self, devices: Mapping[int, DeviceRecord], *, fresh: bool) -> None:
        """Note which device each slot has."""
        self._seats.update(devices)

    def next(self, idle: Collection[int]) -> TrialStart[Turn] | FreshProcess | None:
        """The first trial that fits on idle devices. One that needs several waits for them before later ones go on."""
        for position, turn in enumerate(self._queue):
            if slots := self._slots_for(turn, idle):
                del self._queue[position]
                return self._launch(turn, slots)
            if self.heads[turn.file].devices > 1 and self._could_fit(turn):
                return None
        return None

    def ended(self, launch: TrialStart[Turn], outcome: TrialOutcome, *, may_retry: bool) -> Next:
        """Weigh the trial, keep it, and say whether its file goes on."""
        turn, devices = launch.subject, [self._seats[slot] for slot in launch.slots]
        record = outcome.record.model_copy(update={"beside": [device.id for device in devices[1:]]})
        blame = (self.blames if turn.arm is Arm.HEAD else self.base_blames)[turn.file]
        blame.take(record, "+".join(sorted({card_of(device) for device in devices})))
        self.save(record)
        self.observer.measured(record, kept=True)
        if record.status is not TrialStatus.OK and may_retry and not blame.kernel:
            avoid = turn.avoid | {device.id for device in devices}
            self.witnesses.leave(turn)
            self._queue.appendleft(replace(turn, attempt=turn.attempt + 1, avoid=avoid, home=""))
        else:
            self._follow_up(turn, devices[0].id, measured=record.status is TrialStatus.OK)
        return Next.RENEW if record.status is TrialStatus.ERRORED else Next.FREE  # renewing runs a canary

    def replaced(self, slot: int, replaced: Replaced) -> None:
        """A suite moves no slot: its trials move."""

    def lost(self, slot: int, failure: Failure) -> None:
        """The others go on without it."""
        self.problems.append(failure)
        del self._seats[slot]

    def keep(self) -> None:
        """Every trial is durable already."""

    def unfinished(self) -> bool:
        """Whether a file has trials left."""
        return bool(self._queue)

    def data_of(self, turn: Turn) -> Path:
        """Where a file's frozen data are; each attempt of the first trial has a place of its own."""
        first = turn.repeat == 0 and turn.arm is Arm.HEAD
        attempt = turn.attempt if first else self._kept_by[turn.file]
        return self.data / f"{self._labels[turn.file]}-a{attempt}"

    def _slots_for(self, turn: Turn, idle: Collection[int]) -> tuple[int, ...]:
        """Idle slots of one node for `turn`, those it should not avoid first; none where there are too few."""
        home = turn.only or self._home_of(turn)
        if home:
            return tuple(slot for slot in sorted(idle) if self._seats[slot].id == home)[:1]
        for among in (self._eligible(turn, idle), set() if self._others(turn) else set(idle)):
            if slots := self._on_one_node(self.heads[turn.file].devices, among):
                return slots
        return ()

    def _home_of(self, turn: Turn) -> str:
        """The device that `turn` is to be made on, while that is held; "" for whichever is free."""
        if self.heads[turn.file].devices > 1:
            return ""
        home = turn.home or self.witnesses.home(turn)
        return home if any(device.id == home for device in self._seats.values()) else ""

    def _eligible(self, turn: Turn, slots: Iterable[int]) -> set[int]:
        others = self.witnesses.cards_of_others(turn)
        return {
            slot
            for slot in slots
            if self._seats[slot].id not in turn.avoid and card_of(self._seats[slot]) not in others
        }

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

    def _launch(self, turn: Turn, slots: tuple[int, ...]) -> TrialStart[Turn]:
        if turn.arm is Arm.BASE and not self._has_base(turn.file, turn.repeat):  # it has failed meanwhile
            turn = replace(turn, arm=Arm.HEAD)
        beside = ",".join(str(self._seats[slot].index) for slot in slots[1:])
        tuning = {"seed": str(self.template.seed), "beside": beside}
        first = turn.repeat == 0 and turn.arm is Arm.HEAD
        if turn.file in self.freezes and (first or turn.file in self._kept_by):  # a base may follow a head that failed
            tuning["save" if first else "replay"] = str(self.data_of(turn))
        if self.heads[turn.file].devices == 1 and not turn.only:
            self.witnesses.settle(turn, self._seats[slots[0]])
        update = {"case": turn.file, "tuning": tuning, "arm": turn.arm, "tree": self.trees.get(turn.arm, "")}
        request = self.template.model_copy(update=update)
        label = self._labels[turn.file] + ("" if turn.arm is Arm.HEAD else f"-{turn.arm.value}")
        return TrialStart(turn, slots, label, request, turn.repeat, turn.attempt)

    def _follow_up(self, turn: Turn, device: str, *, measured: bool) -> None:
        """What is due after a trial that gets no further attempt."""
        if turn.arm is Arm.HEAD and not measured:
            self._drop(turn.file)
            if self._has_base(turn.file, turn.repeat) and turn.file not in self._base_seen:
                self._queue.appendleft(self._other_arm(turn, device))  # whether that fails as well
        elif turn.arm is Arm.HEAD:
            self._go_on_frozen(turn)
            if self._has_base(turn.file, turn.repeat) and not turn.second:
                self._queue.appendleft(self._other_arm(turn, device))
        else:
            self._base_seen.add(turn.file)
            if not turn.second and not self.blames[turn.file].kernel:
                self._queue.appendleft(self._other_arm(turn, device))

    def _other_arm(self, turn: Turn, device: str) -> Turn:
        arm = Arm.BASE if turn.arm is Arm.HEAD else Arm.HEAD
        return Turn(turn.file, turn.repeat, arm, home=device, second=True)

    def _go_on_frozen(self, turn: Turn) -> None:
        """Once the first trial has kept its data, the others may take them."""
        if turn.file in self.freezes and turn.repeat == 0:
            self._kept_by[turn.file] = turn.attempt
            self._queue.extendleft(self._begin(turn.file, repeat) for repeat in reversed(range(1, self.repeats)))

    def _drop(self, file: str) -> None:
        """A file that failed, or has no attempt left, is not tried again; the other files go on."""
        self._queue = deque(turn for turn in self._queue if turn.file != file)
