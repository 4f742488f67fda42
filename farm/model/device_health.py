"""How fit each device is for work, as a fold over what happened on it. Pure: no clock, no store, no Ray.

A device is *healthy* until a fault makes it *suspect*: still used, but a probe runs first, and one more fault in a row
takes it out. *Quarantined* it gets no work until a series of clean canaries over hours, or a person, brings it back.
A fourth state, offline, is nobody's event: the listing derives it for a device whose node is not in the cluster.

Three rules that are not obvious:

- A row of faults ends with a good trial only. The canary is small, and a device that passes it and fails every real
  kernel would otherwise never have two faults in a row.
- What a commit's program says of a device is a claim, and takes nothing away: the canary, which runs none of its code,
  is asked before the device's next work, and only its failure counts. One line in a pull request would otherwise take
  every device out.
- A fault that turns out to be the kernel's (two devices agree on it) is taken back by an acquittal; a kernel that hangs
  on every device, sent in twice, would otherwise take the whole farm out.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from farm.timestamps import moment
from jobs.faults.model import Action
from jobs.faults.table import TABLE
from jobs.records import Failure, Fault, ProbeRecord, TrialRecord, TrialStatus

FAULTS_IN_ROW = 2  # one fault may be a cosmic ray or a neighbour; two in a row on one device are the device's

# What brings a quarantined device back. Marginal hardware fails with heat and load, which come and go within the hour:
# canaries an hour apart meet the device in different states, and three of them take it from one load into another.
CANARIES = 3
CANARY_SPACING = timedelta(hours=1)

# Kinds of faults that name the device itself, so that one is enough: it does not start, its memory is broken. The other
# faults of a device a kernel can cause as well.
BROKEN = frozenset(row.kind for row in TABLE if row.action is Action.QUARANTINE)


class DeviceState(str, enum.Enum):
    """Whether a device gets work."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"  # gets work, after a clean canary where it failed last
    QUARANTINED = "quarantined"  # gets none


class EventKind(str, enum.Enum):
    """What can happen to a device that says something about it."""

    TRIAL_OK = "trial-ok"  # a trial ran and was measured; its numbers are another matter
    DEVICE_FAULT = "device-fault"  # a trial ended with a fault that is the device's, as far as one device can tell
    DEVICE_BROKEN = "device-broken"  # the same, with a kind of `BROKEN`
    CLAIMED = "claimed"  # a commit's program says so, or computes otherwise there; the canary has yet to tell
    ACQUITTED = "acquitted"  # one such fault was the kernel's after all
    VOTE_LOST = "vote-lost"  # other bits than an agreeing majority, confirmed by a second look
    CANARY_CLEAN = "canary-clean"
    CANARY_FAILED = "canary-failed"
    QUARANTINED = "quarantined"  # by a person
    RELEASED = "released"  # by a person
    CARD_CHANGED = "card-changed"  # another card is in the slot; the health is that card's from here on


BY_PERSON = frozenset({EventKind.QUARANTINED, EventKind.RELEASED})


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One thing that happened to one device."""

    device: str  # "node/index"
    platform: str
    at: str  # ISO 8601 with its zone
    kind: EventKind
    reason: str = ""  # one line for a person
    run_id: str = ""  # "" where no run was involved


@dataclass(frozen=True, slots=True)
class Health:
    """What a device's events add up to. The default is a device nothing is known of."""

    state: DeviceState = DeviceState.HEALTHY
    since: str = ""  # when it entered `state`; "" where it always was
    why: str = ""  # what put it there, one line
    cause: EventKind | None = None  # kind of the event that did
    faults_in_row: int = 0  # faults, failed canaries included, since the last good trial or release
    failed_last: bool = False  # nothing has run cleanly on it since it last failed or was released
    clean_canaries: int = 0  # of the series that ends a quarantine
    counts_after: str = ""  # a clean canary before this moment does not count; "" outside an automatic quarantine
    last_event_at: str = ""  # newest event folded in, or the last one of a person; "" where there is none

    @property
    def usable(self) -> bool:
        """Whether it may be given work."""
        return self.state is not DeviceState.QUARANTINED

    @property
    def needs_probe(self) -> bool:
        """Whether a canary must come back clean before it is given work."""
        return self.failed_last

    @property
    def by_person(self) -> bool:
        """Whether a person quarantined it; then only a person's release ends that."""
        return self.state is DeviceState.QUARANTINED and self.cause is EventKind.QUARANTINED


class HealthBook(Protocol):
    """Where health is kept between runs. Its methods may be called from several processes at once."""

    def health(self, platform: str) -> Mapping[str, Health]:
        """Every known device of `platform`, by device id. One that is missing has the default `Health()`."""
        ...

    def identify(self, platform: str, device: str, identity: str) -> Health:
        """Note which card is in a slot; return how fit that card is, wherever it was before. Durable on return."""
        ...

    def observe(self, events: Sequence[HealthEvent]) -> None:
        """Fold `events` in, in their order: all of them or none. Durable on return."""
        ...


def after(health: Health, event: HealthEvent) -> Health:
    """What `health` becomes once `event` has happened. Raises `ValueError` where the event's time is unreadable."""
    moment(event.at)
    folded = _RULES[event.kind](health, event)
    newest = event.at if event.kind in BY_PERSON else max((health.last_event_at, event.at), key=_sortable)
    return replace(folded, last_event_at=newest)


def events_of(
    trial: TrialRecord, run_id: str, platform: str, at: str, *, claimed: bool = False, simulated: bool = False
) -> list[HealthEvent]:
    """Return what the end of `trial` says about its device: nothing where kernel, node or farm was at fault.

    Args:
        trial: The trial.
        run_id: Its run.
        platform: Its platform.
        at: When it ended.
        claimed: Whether a program that nobody has installed says so. On a simulator, which has nothing that could
            break, that says nothing at all.
        simulated: Whether the platform is a simulator.
    """
    if trial.status is TrialStatus.OK:
        return [HealthEvent(trial.device, platform, at, EventKind.TRIAL_OK, "", run_id)]
    failure = trial.failure
    if failure is None or failure.fault is not Fault.DEVICE:
        return []
    if claimed:
        return [] if simulated else [claim(trial.device, platform, at, f"{failure.kind}: {failure.message}", run_id)]
    kind = EventKind.DEVICE_BROKEN if failure.kind in BROKEN else EventKind.DEVICE_FAULT
    return [HealthEvent(trial.device, platform, at, kind, f"{failure.kind}: {failure.message}", run_id)]


def claim(device: str, platform: str, at: str, reason: str, run_id: str) -> HealthEvent:
    """What a program that nobody has installed says, or shows, of a device."""
    return HealthEvent(device, platform, at, EventKind.CLAIMED, f"a commit's program: {reason}", run_id)


def acquittals(
    trials: Iterable[TrialRecord], proven: Iterable[Failure], run_id: str, platform: str, at: str
) -> list[HealthEvent]:
    """One acquittal for each device fault among a run's `trials` that is `proven` to be the kernel's by its kind.

    To be observed once, when the run has its verdict.
    """
    guilt = {failure.kind: failure.message for failure in proven}
    return [
        HealthEvent(
            event.device, platform, at, EventKind.ACQUITTED, f"the kernel's: {guilt[trial.failure.kind]}", run_id
        )
        for trial in trials
        if trial.failure is not None and trial.failure.kind in guilt
        for event in events_of(trial, run_id, platform, at)
        if event.kind is EventKind.DEVICE_FAULT
    ]


def of_probe(probe: ProbeRecord, device: str, platform: str, at: str, run_id: str = "") -> HealthEvent:
    """What a probe of `device` says about it."""
    kind = EventKind.CANARY_CLEAN if probe.healthy else EventKind.CANARY_FAILED
    return HealthEvent(device, platform, at, kind, probe.detail, run_id)


def _trial_ok(health: Health, event: HealthEvent) -> Health:
    if not health.usable:
        return health  # one that was under way when the quarantine began; it does not end it
    well = replace(health, faults_in_row=0, failed_last=False)
    if health.state is DeviceState.HEALTHY:
        return well
    return _enter(well, DeviceState.HEALTHY, event, "a good trial")


def _fault(health: Health, event: HealthEvent) -> Health:
    row = health.faults_in_row + 1
    failed = replace(health, faults_in_row=row, failed_last=True)
    if not health.usable:
        return _restart(failed, event)
    if row >= FAULTS_IN_ROW:
        return _quarantine(failed, event, f"{row} device faults in a row, the last: {event.reason}")
    return _enter(failed, DeviceState.SUSPECT, event, event.reason)


def _proof(health: Health, event: HealthEvent) -> Health:
    """One such event is enough to take the device out."""
    row = health.faults_in_row + (event.kind is EventKind.DEVICE_BROKEN)
    failed = replace(health, faults_in_row=row, failed_last=True)
    return _quarantine(failed, event, event.reason)


def _claimed(health: Health, event: HealthEvent) -> Health:
    """Ask the canary before the next work; the row of faults does not grow by it."""
    if not health.usable:
        return health
    doubted = replace(health, failed_last=True)
    return doubted if health.state is DeviceState.SUSPECT else _enter(doubted, DeviceState.SUSPECT, event, event.reason)


def _acquitted(health: Health, event: HealthEvent) -> Health:
    """Take one fault back. The device failed all the same, so a probe still runs before its next work."""
    if not health.faults_in_row:
        return health  # a good trial or a release has ended that row already
    row = health.faults_in_row - 1
    cleared = replace(health, faults_in_row=row)
    for_faults = health.cause in (EventKind.DEVICE_FAULT, EventKind.ACQUITTED)  # nothing else speaks against it
    if not for_faults or row >= FAULTS_IN_ROW or health.state is DeviceState.HEALTHY:
        return cleared
    return _enter(cleared, DeviceState.SUSPECT if row else DeviceState.HEALTHY, event, event.reason)


def _canary_failed(health: Health, event: HealthEvent) -> Health:
    """The canary is a known good program, so a device that was suspect already has no excuse left."""
    failed = replace(health, faults_in_row=health.faults_in_row + 1, failed_last=True)
    if health.state is not DeviceState.HEALTHY or failed.faults_in_row >= FAULTS_IN_ROW:
        return _quarantine(failed, event, event.reason)
    return _enter(failed, DeviceState.SUSPECT, event, event.reason)


def _canary_clean(health: Health, event: HealthEvent) -> Health:
    clean = replace(health, failed_last=False)
    if health.state is DeviceState.SUSPECT and health.cause is EventKind.CLAIMED:  # nothing else speaks against it
        return _enter(clean, DeviceState.HEALTHY, event, "a clean canary after a claim")
    if health.usable or health.by_person or moment(event.at) < moment(health.counts_after):
        return clean
    counted = health.clean_canaries + 1
    if counted < CANARIES:
        return replace(clean, clean_canaries=counted, counts_after=_an_hour_after(event))
    # The row of faults is kept: only a good trial ends it, so the next fault takes the device out again at once.
    hours = CANARY_SPACING.total_seconds() / 3600
    return _enter(clean, DeviceState.HEALTHY, event, f"{CANARIES} clean canaries, each {hours:g} h or more apart")


def _quarantined(health: Health, event: HealthEvent) -> Health:
    held = replace(health, clean_canaries=0, counts_after="")
    return _enter(held, DeviceState.QUARANTINED, event, event.reason)


def _released(health: Health, event: HealthEvent) -> Health:
    """Suspect, not healthy: the person vouches for the device, the canary has yet to."""
    fresh = replace(health, faults_in_row=0, failed_last=True)
    return _enter(fresh, DeviceState.SUSPECT, event, event.reason)


def _unchanged(health: Health, event: HealthEvent) -> Health:
    return health


def _quarantine(health: Health, event: HealthEvent, why: str) -> Health:
    """Quarantined for this event from now on, whatever it was quarantined for before, unless a person did it."""
    return health if health.by_person else _restart(_enter(health, DeviceState.QUARANTINED, event, why), event)


def _restart(health: Health, event: HealthEvent) -> Health:
    """The series of clean canaries begins again, where this quarantine has one."""
    if health.by_person:
        return health
    return replace(health, clean_canaries=0, counts_after=_an_hour_after(event))


def _enter(health: Health, state: DeviceState, event: HealthEvent, why: str) -> Health:
    since = event.at if health.state is not state else health.since
    entered = replace(health, state=state, since=since, why=why, cause=event.kind)
    return entered if state is DeviceState.QUARANTINED else replace(entered, clean_canaries=0, counts_after="")


def _an_hour_after(event: HealthEvent) -> str:
    return (moment(event.at) + CANARY_SPACING).isoformat(timespec="milliseconds")


def _sortable(text: str) -> float:
    return moment(text).timestamp() if text else float("-inf")


_RULES = {
    EventKind.TRIAL_OK: _trial_ok,
    EventKind.DEVICE_FAULT: _fault,
    EventKind.DEVICE_BROKEN: _proof,
    EventKind.CLAIMED: _claimed,
    EventKind.ACQUITTED: _acquitted,
    EventKind.VOTE_LOST: _proof,
    EventKind.CANARY_CLEAN: _canary_clean,
    EventKind.CANARY_FAILED: _canary_failed,
    EventKind.QUARANTINED: _quarantined,
    EventKind.RELEASED: _released,
    EventKind.CARD_CHANGED: _unchanged,
}
