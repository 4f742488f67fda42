"""The fold over a device's events: what takes it out, what brings it back, and what must never do either."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import reduce

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farm.model.device_health import (
    CANARIES,
    CANARY_SPACING,
    DeviceState,
    EventKind,
    Health,
    HealthEvent,
    acquittals,
    after,
    events_of,
    of_probe,
)
from jobs.records import Failure, Fault, ProbeRecord, TrialStatus
from tests.farm import samples

START = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
DEVICE = "10.0.0.1/0"
AT = START.isoformat()

OK, FAULT, BROKEN = EventKind.TRIAL_OK, EventKind.DEVICE_FAULT, EventKind.DEVICE_BROKEN
CLEAN, FAILED = EventKind.CANARY_CLEAN, EventKind.CANARY_FAILED
VOTE, ACQUITTED = EventKind.VOTE_LOST, EventKind.ACQUITTED
TAKEN, RELEASED = EventKind.QUARANTINED, EventKind.RELEASED
HEALTHY, SUSPECT, OUT = DeviceState.HEALTHY, DeviceState.SUSPECT, DeviceState.QUARANTINED


def event(kind: EventKind, minutes: float = 0.0) -> HealthEvent:
    """One event `minutes` after the start."""
    at = (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    return HealthEvent(DEVICE, "a2a3sim", at, kind, f"because of {kind.value}")


def fold(*steps: EventKind | tuple[EventKind, float]) -> Health:
    """A fresh device after `steps`; a step without its minute is one minute after the one before."""
    health, minute = Health(), 0.0
    for step in steps:
        kind, minute = step if isinstance(step, tuple) else (step, minute + 1)
        health = after(health, event(kind, minute))
    return health


def test_a_device_nothing_is_known_of_gets_work_without_a_probe() -> None:
    assert Health().usable
    assert not Health().needs_probe


@pytest.mark.parametrize(
    ("steps", "state", "needs_probe"),
    [
        ([OK], HEALTHY, False),
        ([FAULT], SUSPECT, True),
        ([FAULT, CLEAN], SUSPECT, False),
        ([FAULT, OK], HEALTHY, False),
        ([FAULT, FAULT], OUT, True),
        ([FAULT, OK, FAULT], SUSPECT, True),
        ([FAULT, CLEAN, FAULT], OUT, True),
        ([BROKEN], OUT, True),
        ([VOTE], OUT, True),
        ([FAILED], SUSPECT, True),
        ([FAILED, FAILED], OUT, True),
        ([FAILED, CLEAN, FAILED], OUT, True),
        ([FAULT, FAILED], OUT, True),
        ([TAKEN], OUT, False),
        ([TAKEN, RELEASED], SUSPECT, True),
        ([TAKEN, RELEASED, CLEAN], SUSPECT, False),
        ([TAKEN, RELEASED, CLEAN, OK], HEALTHY, False),
        ([FAULT, FAULT, RELEASED, FAULT], SUSPECT, True),
        ([FAULT, FAULT, OK], OUT, True),
        ([FAULT, ACQUITTED], HEALTHY, True),
        ([FAULT, FAULT, ACQUITTED], SUSPECT, True),
        ([FAULT, FAULT, ACQUITTED, ACQUITTED], HEALTHY, True),
        ([FAULT, FAULT, FAULT, ACQUITTED], OUT, True),
        ([FAULT, OK, ACQUITTED], HEALTHY, False),
        ([FAULT, FAULT, VOTE, ACQUITTED], OUT, True),
        ([FAULT, FAILED, ACQUITTED], OUT, True),
        ([BROKEN, ACQUITTED], OUT, True),
    ],
)
def test_what_events_add_up_to(steps: list[EventKind], state: DeviceState, needs_probe: bool) -> None:
    health = fold(*steps)

    assert (health.state, health.needs_probe) == (state, needs_probe)
    assert health.usable is (state is not OUT)


def test_it_tells_since_when_and_why() -> None:
    health = fold((FAULT, 1), (FAULT, 2), (FAULT, 3))

    assert health.since == event(FAULT, 2).at
    assert health.why == "2 device faults in a row, the last: because of device-fault"
    assert not health.by_person
    assert health.last_event_at == event(FAULT, 3).at


HOUR = CANARY_SPACING.total_seconds() / 60


def test_three_clean_canaries_an_hour_apart_bring_it_back() -> None:
    assert fold(VOTE, (CLEAN, HOUR + 1), (CLEAN, 2 * HOUR + 1)).state is OUT

    back = fold(VOTE, (CLEAN, HOUR + 1), (CLEAN, 2 * HOUR + 1), (CLEAN, 3 * HOUR + 1))

    assert back.state is HEALTHY
    assert back.why == "3 clean canaries, each 1 h or more apart"


def test_clean_canaries_too_close_together_count_once() -> None:
    health = fold(VOTE, *[(CLEAN, HOUR + 1 + minute) for minute in range(50)])

    assert (health.state, health.clean_canaries) == (OUT, 1)
    assert fold(VOTE, (CLEAN, HOUR)).clean_canaries == 0, "the first is an hour after the quarantine, at the least"


@pytest.mark.parametrize("setback", [FAILED, FAULT, VOTE, BROKEN])
def test_a_setback_begins_the_series_again(setback: EventKind) -> None:
    two = ((VOTE, 0.0), (CLEAN, HOUR), (CLEAN, 2 * HOUR), (setback, 2.5 * HOUR))

    assert fold(*two).clean_canaries == 0
    assert fold(*two, (CLEAN, 3 * HOUR)).clean_canaries == 0
    assert fold(*two, (CLEAN, 3.5 * HOUR), (CLEAN, 4.5 * HOUR)).state is OUT
    assert fold(*two, (CLEAN, 3.5 * HOUR), (CLEAN, 4.5 * HOUR), (CLEAN, 5.5 * HOUR)).state is HEALTHY


def test_one_fault_after_the_series_takes_it_out_again() -> None:
    series = [(CLEAN, hour * HOUR) for hour in (1, 2, 3)]

    assert fold((FAULT, -1.0), (FAULT, 0.0), *series, FAULT).state is OUT
    assert fold((FAULT, -1.0), (FAULT, 0.0), *series, OK, FAULT).state is SUSPECT


KINDS = st.sampled_from(EventKind)
STEPS = st.lists(st.tuples(KINDS, st.floats(0.0, 200.0)), max_size=40)


def events(steps: list[tuple[EventKind, float]]) -> list[HealthEvent]:
    """Events at growing times, each step's number of minutes after the one before."""
    made, minute = [], 0.0
    for kind, gap in steps:
        minute += gap
        made.append(event(kind, minute))
    return made


def states(steps: list[tuple[EventKind, float]]) -> list[tuple[Health, HealthEvent, Health]]:
    """Before, event, after, for each event."""
    told, health = [], Health()
    for made in events(steps):
        told.append((health, made, after(health, made)))
        health = told[-1][2]
    return told


@given(STEPS)
def test_the_same_events_always_add_up_to_the_same(steps: list[tuple[EventKind, float]]) -> None:
    assert reduce(after, events(steps), Health()) == reduce(after, events(steps), Health())


@given(STEPS)
def test_a_quarantine_ends_by_release_acquittal_or_the_whole_series(steps: list[tuple[EventKind, float]]) -> None:
    clean_hours: list[datetime] = []
    for before, happened, then in states(steps):
        if before.state is not OUT:
            clean_hours = []
        elif happened.kind is CLEAN:
            clean_hours.append(datetime.fromisoformat(happened.at))
        elif happened.kind in (FAULT, BROKEN, VOTE, FAILED):
            clean_hours = []
        if before.state is OUT and then.state is HEALTHY:
            if happened.kind is ACQUITTED:
                assert before.cause in (FAULT, ACQUITTED)
                continue
            assert happened.kind is CLEAN
            assert len(clean_hours) >= CANARIES
            assert clean_hours[-1] - clean_hours[0] >= (CANARIES - 1) * CANARY_SPACING
        if before.state is OUT and then.state is SUSPECT:
            assert happened.kind in (RELEASED, ACQUITTED)


@given(STEPS, st.lists(st.tuples(st.sampled_from([CLEAN, FAILED, OK]), st.floats(0.0, 200.0)), max_size=3))
def test_two_faults_in_a_row_always_quarantine(
    steps: list[tuple[EventKind, float]], between: list[tuple[EventKind, float]]
) -> None:
    assume(all(kind is not OK for kind, _ in between))

    health = states([*steps, (FAULT, 1.0), *between, (FAULT, 1.0)])[-1][2]

    assert health.state is OUT


@given(STEPS, STEPS)
def test_what_a_person_took_out_only_a_person_brings_back(
    before: list[tuple[EventKind, float]], later: list[tuple[EventKind, float]]
) -> None:
    without_release = [(kind, gap) for kind, gap in later if kind is not RELEASED]

    health = states([*before, (TAKEN, 1.0), *without_release])[-1][2]

    assert health.by_person
    assert health.why == "because of quarantined"


@given(STEPS)
def test_work_never_follows_a_failure_without_a_probe(steps: list[tuple[EventKind, float]]) -> None:
    for _, happened, then in states(steps):
        if happened.kind in (FAULT, BROKEN, VOTE, FAILED, RELEASED):
            assert then.needs_probe
        assert (then.counts_after != "") is (then.state is OUT and not then.by_person)
        assert 0 <= then.clean_canaries < CANARIES


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone"):
        after(Health(), HealthEvent(DEVICE, "a2a3sim", "2026-11-23T08:00:00", OK))


def kinds(trial: object) -> list[EventKind]:
    return [made.kind for made in events_of(trial, "run", "a2a3", AT)]  # type: ignore[arg-type]


def test_the_end_of_a_trial_speaks_for_or_against_the_device_only_where_it_can() -> None:
    lost = samples.lost_trial(DEVICE, 0)
    assert lost.failure is not None

    def blamed(fault: Fault, kind: str = "hang") -> object:
        failure = lost.failure.model_copy(update={"fault": fault, "kind": kind})  # type: ignore[union-attr]
        return lost.model_copy(update={"failure": failure})

    assert kinds(samples.trial(DEVICE)) == [OK]
    assert kinds(blamed(Fault.DEVICE)) == [FAULT]
    assert kinds(blamed(Fault.DEVICE, "device-507014")) == [FAULT]
    for kind in ("device-507033", "device-507054", "card-busy"):
        assert kinds(blamed(Fault.DEVICE, kind)) == [BROKEN]
    for other in (Fault.KERNEL, Fault.NODE, Fault.FARM):
        assert kinds(blamed(other)) == []
    assert kinds(samples.trial(DEVICE).model_copy(update={"status": TrialStatus.FAILED})) == []


def test_a_fault_proven_to_be_the_kernels_is_taken_back_from_every_device() -> None:
    trials = [samples.lost_trial(f"10.0.0.1/{index}", 0) for index in (0, 1)]
    proven = [Failure(fault=Fault.KERNEL, kind="hang", message="hang on 2 devices")]

    assert acquittals(trials, [], "run", "a2a3", AT) == []
    taken_back = acquittals([*trials, samples.trial(DEVICE)], proven, "run", "a2a3", AT)

    assert [(made.device, made.kind) for made in taken_back] == [("10.0.0.1/0", ACQUITTED), ("10.0.0.1/1", ACQUITTED)]
    assert taken_back[0].reason == "the kernel's: hang on 2 devices"
    assert acquittals(trials, [Failure(fault=Fault.KERNEL, kind="compile", message="")], "run", "a2a3", AT) == []


def test_a_probe_speaks_for_its_device() -> None:
    clean = of_probe(ProbeRecord(device=0, healthy=True, detail="right", probe_s=1.0), DEVICE, "a2a3", AT)
    failed = of_probe(ProbeRecord(device=0, healthy=False, detail="wrong", probe_s=1.0), DEVICE, "a2a3", AT, "run")

    assert (clean.kind, clean.reason, clean.run_id) == (CLEAN, "right", "")
    assert (failed.kind, failed.reason, failed.run_id) == (FAILED, "wrong", "run")


CLAIM = EventKind.CLAIMED


@pytest.mark.parametrize(
    ("steps", "state", "needs_probe"),
    [
        ((CLAIM,), SUSPECT, True),
        ((CLAIM,) * 20, SUSPECT, True),  # however often it is said
        ((CLAIM, CLEAN), HEALTHY, False),
        ((CLAIM, FAILED), OUT, True),  # a trusted program fails there, too
        ((CLAIM, CLEAN, CLAIM, CLEAN, CLAIM), SUSPECT, True),
        ((FAULT, CLAIM), SUSPECT, True),
        ((FAULT, CLAIM, CLEAN), SUSPECT, False),  # the fault before it stands
        ((FAULT, CLAIM, FAULT), OUT, True),
        ((TAKEN, CLAIM), OUT, False),
        ((CLAIM, OK), HEALTHY, False),
    ],
)
def test_a_claim_has_the_canary_asked_and_takes_nothing_away(
    steps: tuple[EventKind, ...], state: DeviceState, needs_probe: bool
) -> None:
    found = fold(*steps)

    assert (found.state, found.needs_probe) == (state, needs_probe)


@pytest.mark.parametrize("kind", ["507054", "507057", "device-unavailable", "unknown"])
def test_a_commits_program_is_not_believed_about_its_device(kind: str) -> None:
    failure = Failure(fault=Fault.DEVICE, kind=kind, message="the device is broken")
    trial = samples.trial(DEVICE, status=TrialStatus.ERRORED, failure=failure)

    [claimed] = events_of(trial, "r", "a2a3", AT, claimed=True)

    assert claimed.kind is CLAIM and "the device is broken" in claimed.reason
    assert events_of(trial, "r", "a2a3sim", AT, claimed=True, simulated=True) == []
    assert events_of(trial, "r", "a2a3", AT)[0].kind in (FAULT, BROKEN)
