"""Many tunings of one kernel measured on all leased devices at once: whichever device is free takes the next.

A point is one trial: one build, one set of numbers, one time. Points do not wait for one another, so a campaign can
hand out new ones in the light of those that came back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from farm.errors import InfrastructureError
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.leasing.lease import Lease
from farm.model.attempts import MAX_ATTEMPTS
from farm.text import slug
from jobs.records import TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock


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
        """`point` has been measured, or has failed for good."""
        ...


def disqualification(record: TrialRecord) -> str:
    """Why a point does not count, in one line; "" where it does."""
    if record.failure is not None:
        return record.failure.message
    wrong = {name: output.tolerance for name, output in record.outputs.items() if not output.tolerance.passed}
    if wrong:
        shares = (f"{name} {bound.problem or format(bound.outlier_share, '.4%')}" for name, bound in wrong.items())
        return f"wrong numbers: {', '.join(shares)}"
    return "" if record.wall_us is not None else "no time was measured"


def conduct(
    campaign: Campaign,
    lease: Lease,
    template: TrialRequest,
    directory: Path,
    clock: Clock,
    trial_s: float,
    deadline: float | None = None,
) -> None:
    """Measure points of `campaign` until it has none, or until `deadline` (time.monotonic()) and the last has ended.

    A point lost with its device is tried again on another, at most `MAX_ATTEMPTS` times in all. Raises
    `InfrastructureError` where no device is left.
    """
    in_flight = InFlightTrials(lease, directory, clock, trial_s)
    points: dict[int, Point] = {}
    out_of_order: set[int] = set()
    while True:
        open_until = deadline is None or time.monotonic() < deadline
        for slot in lease.slots:
            if slot in in_flight.busy or slot in out_of_order or not open_until:
                continue
            point = campaign.next()
            if point is None:
                break
            points[slot] = point
            request = template.model_copy(update={"tuning": {**template.tuning, **point.overrides}})
            in_flight.start(slot, slug(point.label), request, 0, 0)
        if not in_flight.busy:
            break
        for outcome in in_flight.poll():
            if outcome.record.status is TrialStatus.ERRORED:
                _try_elsewhere(outcome, lease, in_flight)
            if outcome.slot not in in_flight.busy and outcome.record.status is not TrialStatus.OK:
                out_of_order.update(_unrenewed(outcome.slot, lease))
            if outcome.slot not in in_flight.busy:
                campaign.took(points[outcome.slot], outcome.record)
    if len(out_of_order) == len(lease.slots):
        raise InfrastructureError("every device of the lease failed; see the logs of the last trials")


def _try_elsewhere(outcome: TrialOutcome, lease: Lease, in_flight: InFlightTrials) -> None:
    flight = outcome.flight
    if flight.attempt + 1 >= MAX_ATTEMPTS:
        return
    try:
        lease.replace(outcome.slot)
    except InfrastructureError:
        return
    in_flight.start(outcome.slot, flight.label, flight.request, flight.repeat, flight.attempt + 1)


def _unrenewed(slot: int, lease: Lease) -> set[int]:
    """The slot, where it cannot be given a fresh process after a point that failed."""
    try:
        lease.renew(slot)
    except InfrastructureError:
        return {slot}
    return set()
