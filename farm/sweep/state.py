"""What a sweep knows while it goes on: its cells, its devices, and what it has still to do. Durable as it grows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from farm.analysis.sweep_matrix import Fleet
from farm.gates.divergence import MOST_OTHER_CARDS
from farm.model.run import DeviceRecord
from farm.model.sweep import Cell, SweepFinding, SweepPlan
from farm.sweep.attribution import attribute, card_or_dependence
from farm.sweep.failure_attribution import doomed_cases
from farm.sweep.journal import Journal
from farm.sweep.schedule import SweepCell, due, elsewhere, job_of
from jobs.records import Fault


@dataclass(slots=True)
class State:
    """One sweep in one process. Not for concurrent use."""

    plan: SweepPlan
    journal: Journal
    deadline: float  # time.monotonic() after which no trial may be under way
    devices: dict[str, DeviceRecord] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)  # device → why it gets no more work in this process
    unfit: set[str] = field(default_factory=set)  # devices that failed a canary in this process
    others: dict[str, None] = field(default_factory=dict)  # devices beside the plan, each on another card
    doomed: set[str] = field(default_factory=set)  # cases that fail wherever they are run, by the kernel's fault
    _cells: dict[tuple[str, SweepCell], Cell] = field(default_factory=dict)
    _done: dict[str, set[SweepCell]] = field(default_factory=lambda: defaultdict(set))
    _unsaved: list[Cell] = field(default_factory=list)
    _longest_s: float = 0.0

    @classmethod
    def load(cls, plan: SweepPlan, journal: Journal, deadline: float) -> State:
        """The state an earlier process left; a fresh one where there was none.

        A trial that failed through nobody's or a device's fault measured nothing, so it is repeated.
        """
        state = cls(plan, journal, deadline)
        state.devices.update((each.id, each) for each in journal.devices())
        state.others = {device: None for device in state.devices if device not in plan.devices}
        for cell in journal.recover():
            if cell.failure is None or cell.failure.fault is Fault.KERNEL:
                state._fold(cell)
        return state

    @property
    def cells(self) -> list[Cell]:
        """Every cell, in the order of case, seed, device and repeat."""
        return sorted(self._cells.values(), key=lambda cell: (cell.case, cell.seed, cell.device, cell.repeat))

    @property
    def fleet(self) -> Fleet:
        """The devices held so far, as witnesses."""
        return Fleet.of(self.devices.values())

    def hold(self, devices: Iterable[DeviceRecord]) -> None:
        """Note devices that are held, before they are given work."""
        self.devices.update((each.id, each) for each in devices)
        self.journal.save_devices(self.devices[name] for name in sorted(self.devices))

    def take(self, cells: Iterable[Cell]) -> None:
        """Take in what was measured; `keep` makes it durable."""
        for cell in cells:
            self._fold(cell)
            self._unsaved.append(cell)

    def keep(self) -> None:
        """Make all that was taken in durable, at once: each write waits for the disk."""
        self.journal.append(self._unsaved)
        self._unsaved.clear()

    def warm_up(self, cell: Cell) -> Cell:
        """Return the cell of a first launch, with a repeat below 0 of its own: its time is dropped, its bits count."""
        of_device = self._done[cell.device]
        first = sum(job.repeat < 0 and (job.case, job.seed) == (cell.case, cell.seed) for job in of_device)
        return cell.model_copy(update={"repeat": -1 - first, "wall_us": None})

    def findings(self) -> list[SweepFinding]:
        """What the cells say so far."""
        return attribute(self.cells, self.fleet, self.plan.request.repeats, self.unfit)

    def unexplained(self) -> list[SweepFinding]:
        """Findings that a look on another card can decide."""
        return card_or_dependence(self.findings(), self.cells)

    def ask_another(self, spares: Iterable[str]) -> bool:
        """Have one of `spares` look where only another card can decide; False where there is none or no need of one."""
        fleet = self.fleet
        asked = {fleet.card(cell.device) for cell in self._cells.values() if cell.device in self.others}
        if len(asked) >= MOST_OTHER_CARDS or not self.unexplained():
            return False
        another = next((device for device in spares if device not in self.others and device not in self.gone), None)
        if another is not None:
            self.others[another] = None
        return another is not None

    def leave(self, device: str, why: str, *, unfit: bool = False) -> None:
        """Give `device` no more work in this process; `unfit` where it failed its canary."""
        self.gone[device] = why
        if unfit:
            self.unfit.add(device)

    def due(self, at_hand: Collection[str] = ()) -> dict[str, list[SweepCell]]:
        """Device → what it has still to do, for those that may get work."""
        devices = [device for device in self.plan.devices if device not in self.gone]
        look = elsewhere(self.unexplained(), self.plan.request)
        others = {device: look for device in self.others if device not in self.gone}
        left = due(self.plan.request, devices, self._done, self.findings(), self.fleet, at_hand, others)
        worth = {device: [job for job in jobs if job.case not in self.doomed] for device, jobs in left.items()}
        return {device: jobs for device, jobs in worth.items() if jobs}

    def may_start(self) -> bool:
        """Whether a trial that takes as long as the longest so far would end in time."""
        return time.monotonic() + self._longest_s <= self.deadline

    def _fold(self, cell: Cell) -> None:
        self._cells[cell.device, job_of(cell)] = cell
        self._done[cell.device].add(job_of(cell))
        self._longest_s = max(self._longest_s, cell.host_s)
        if cell.failure is not None:
            self.doomed = doomed_cases(self._cells.values(), self.fleet)
