"""Health goes with the card: swapped, moved, renumbered, taken out and brought back; on both databases."""

from __future__ import annotations

import pytest

from farm.model.device_health import DeviceState, EventKind, Health, HealthEvent
from farm.store.run_store import Store
from farm.timestamps import now

PLATFORM = "a2a3"
BAD, GOOD, THIRD = "serial BAD chip 0", "serial GOOD chip 0", "serial THIRD chip 1"
SLOT, OTHER = "rack-a/0", "rack-b/7"


def quarantine(store: Store, device: str, kind: EventKind = EventKind.VOTE_LOST) -> None:
    store.observe([HealthEvent(device, PLATFORM, now(), kind, "other bits", "run-1")])


def state(store: Store, device: str) -> DeviceState:
    return store.health(PLATFORM).get(device, Health()).state


def test_a_swapped_card_starts_clean_and_the_old_one_stays_quarantined_wherever_it_goes(store: Store) -> None:
    store.identify(PLATFORM, SLOT, BAD)
    quarantine(store, SLOT)

    assert store.identify(PLATFORM, SLOT, GOOD) == Health()
    assert state(store, SLOT) is DeviceState.HEALTHY

    moved = store.identify(PLATFORM, OTHER, BAD)
    assert (moved.state, moved.why) == (DeviceState.QUARANTINED, "other bits")
    assert state(store, OTHER) is DeviceState.QUARANTINED
    assert state(store, SLOT) is DeviceState.HEALTHY


def test_a_card_that_moves_before_its_slot_is_looked_at_takes_its_quarantine_along(store: Store) -> None:
    """The new slot is seen first, as it is where the old one is quarantined and gets no work."""
    store.identify(PLATFORM, SLOT, BAD)
    quarantine(store, SLOT)

    assert store.identify(PLATFORM, OTHER, BAD).state is DeviceState.QUARANTINED
    assert state(store, SLOT) is DeviceState.HEALTHY


@pytest.mark.parametrize("kind", [EventKind.VOTE_LOST, EventKind.QUARANTINED])
def test_two_cards_that_change_places_change_their_health(store: Store, kind: EventKind) -> None:
    store.identify(PLATFORM, SLOT, BAD)
    store.identify(PLATFORM, OTHER, GOOD)
    quarantine(store, SLOT, kind)

    store.identify(PLATFORM, SLOT, GOOD)
    store.identify(PLATFORM, OTHER, BAD)

    assert (state(store, SLOT), state(store, OTHER)) == (DeviceState.HEALTHY, DeviceState.QUARANTINED)


def test_what_was_known_of_a_slot_is_of_the_first_card_seen_there(store: Store) -> None:
    quarantine(store, SLOT)

    assert store.identify(PLATFORM, SLOT, BAD).state is DeviceState.QUARANTINED
    assert store.identify(PLATFORM, SLOT, THIRD) == Health()
    assert store.identify(PLATFORM, SLOT, BAD).state is DeviceState.QUARANTINED


def test_a_slot_that_was_never_identified_does_not_pass_its_history_to_a_card_that_has_its_own(store: Store) -> None:
    store.identify(PLATFORM, OTHER, GOOD)
    quarantine(store, SLOT)

    assert store.identify(PLATFORM, SLOT, GOOD).state is DeviceState.HEALTHY


def test_the_same_card_again_changes_nothing(store: Store) -> None:
    store.identify(PLATFORM, SLOT, BAD)
    quarantine(store, SLOT)
    before = store.health(PLATFORM)

    store.identify(PLATFORM, SLOT, BAD)

    assert store.health(PLATFORM) == before
    assert store.device_history(PLATFORM, SLOT)[0].kind is EventKind.VOTE_LOST


def test_the_history_of_a_card_is_told_in_its_new_slot(store: Store) -> None:
    store.identify(PLATFORM, SLOT, BAD)
    quarantine(store, SLOT)
    store.identify(PLATFORM, OTHER, BAD)

    told = [(event.kind, event.device) for event in store.device_history(PLATFORM, OTHER)]

    assert told[:2] == [(EventKind.CARD_CHANGED, OTHER), (EventKind.VOTE_LOST, SLOT)]
    assert store.device_history(PLATFORM, OTHER)[0].reason == f"{BAD}, last seen in {SLOT}"


def test_platforms_keep_their_cards_apart(store: Store) -> None:
    store.identify(PLATFORM, SLOT, BAD)
    quarantine(store, SLOT)

    assert store.identify("other", OTHER, BAD) == Health()
