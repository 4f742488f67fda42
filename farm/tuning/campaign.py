"""Many tunings of one kernel measured on all leased devices at once: whichever device is free takes the next.

A point is one trial: one build, one set of numbers, one time. Points do not wait for one another, so a campaign can
hand out new ones in the light of those that came back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farm.errors import InfrastructureError
from farm.execution.deadlines import RunDeadlines
from farm.execution.dispatch_loop import DispatchLoop, FreshProcess, Next, TrialStart
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.leasing.device_lease import DeviceLease, Replaced
from farm.model.run import DeviceRecord
from farm.text import outliers_of, slug
from jobs.records import Failure, TrialRecord, TrialRequest, TrialStatus


@dataclass(frozen=True, slots=True)
class Point:
    """One tuning to be measured."""

    label: str  # names its log directory; unique within the campaign
    overrides: Mapping[str, str]  # on the best known tuning of the case


class Campaign(Protocol):
    """Who decides which points are measured."""

    def next(self) -> Point | None:
        """The next point; None where there is none now. Asked again after every point that comes back."""
        ...

    def took(self, point: Point, record: TrialRecord) -> None:
        """`point` has been measured, or has failed on every attempt."""
        ...


def disqualification(record: TrialRecord) -> str:
    """Why a point does not count, in one line; "" where it does."""
    if record.failure is not None:
        return record.failure.message
    wrong = {name: output for name, output in record.outputs.items() if not output.tolerance.passed}
    if wrong:
        told = (f"{name}: {output.tolerance.problem or outliers_of(output)}" for name, output in wrong.items())
        return f"wrong numbers: {', '.join(told)}"
    return "" if record.wall_us is not None else "no time was measured"


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A point that waits for a device."""

    point: Point
    number: int
    last: TrialRecord | None = None  # of the attempt before


@dataclass(slots=True)
class CampaignExecutor:
    """The workload of a campaign on one lease. For one use."""

    campaign: Campaign
    lease: DeviceLease
    in_flight: InFlightTrials
    template: TrialRequest
    deadlines: RunDeadlines
    closes: float = math.inf  # time.monotonic() after which no new point is started
    _retries: list[_Attempt] = field(default_factory=list)
    _moving: dict[int, _Attempt] = field(default_factory=dict)  # slot on its way to another device → its point
    _dry: bool = False  # the campaign had no point, and none has come back since

    def run(self) -> None:
        """Measure points until the campaign has none, or until it closes and the last has ended.

        A point lost with its device is tried again on another, as often as the attempts policy allows. Raises what
        `DispatchLoop.run` raises, and `InfrastructureError` where no device is left.
        """
        loop: DispatchLoop[_Attempt] = DispatchLoop(self.lease, self.in_flight, self.deadlines, Observer())
        loop.run(self)
        if not self.lease.slots:
            raise InfrastructureError("every device of the lease failed; see the logs of the last trials")

    def seat(self, devices: Mapping[int, DeviceRecord], *, fresh: bool) -> None:
        """A point that moved with its slot comes first."""
        self._retries += [self._moving.pop(slot) for slot in devices if slot in self._moving]

    def next(self, idle: Collection[int]) -> TrialStart[_Attempt] | FreshProcess | None:
        """A point that was lost, else the campaign's next."""
        attempt = self._retries.pop(0) if self._retries else self._new()
        if attempt is None:
            return None
        request = self.template.model_copy(update={"tuning": {**self.template.tuning, **attempt.point.overrides}})
        return TrialStart(attempt, (min(idle),), slug(attempt.point.label), request, 0, attempt.number)

    def ended(self, launch: TrialStart[_Attempt], outcome: TrialOutcome, *, may_retry: bool) -> Next:
        """Hand the point back to the campaign, unless it is tried again."""
        attempt, (slot,) = launch.subject, launch.slots
        if may_retry:
            self._moving[slot] = _Attempt(attempt.point, attempt.number + 1, outcome.record)
            return Next.REPLACE
        self._took(attempt.point, outcome.record)
        return Next.FREE if outcome.record.status is TrialStatus.OK else Next.RENEW

    def replaced(self, slot: int, replaced: Replaced) -> None:
        """`seat` has its point tried again."""

    def lost(self, slot: int, failure: Failure) -> None:
        """A point whose device is lost is tried on the others; without any it has failed."""
        attempt = self._moving.pop(slot, None)
        if attempt is None:
            return
        if self.lease.slots:
            self._retries.append(attempt)
        else:
            assert attempt.last is not None, "only a point that ended moves"
            self._took(attempt.point, attempt.last)

    def keep(self) -> None:
        """The campaign keeps each point as it comes back."""

    def unfinished(self) -> bool:
        """Whether a point may still be started."""
        return bool(self._retries) or not (self._dry or self._closed())

    def _new(self) -> _Attempt | None:
        if self._dry or self._closed():
            return None
        point = self.campaign.next()
        self._dry = point is None
        return _Attempt(point, 0) if point is not None else None

    def _closed(self) -> bool:
        return time.monotonic() >= self.closes

    def _took(self, point: Point, record: TrialRecord) -> None:
        self._dry = False
        self.campaign.took(point, record)
