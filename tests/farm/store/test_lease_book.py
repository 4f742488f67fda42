"""Leases of people: shown while they last, and never for longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from farm.process import identity
from farm.process.identity import ProcessIdentity
from farm.store import lease_book
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.timestamps import as_text, utc_now


def lease(name: str, owner: ProcessIdentity | None = None, hours: float = 1.0, platform: str = "a2a3") -> PersonLease:
    begin = utc_now() - timedelta(minutes=5)
    return PersonLease(
        id=name,
        platform=platform,
        devices=(f"n/{name}",),
        who="ann@n",
        program="bash",
        started_at=as_text(begin),
        until=as_text(begin + timedelta(hours=hours)),
        owner=owner or identity.current(),
    )


def elsewhere() -> ProcessIdentity:
    return replace(identity.current(), host="other")


def test_a_lease_is_there_until_it_is_taken_away(store: Store) -> None:
    mine, other = lease("1"), lease("2", platform="a5")
    lease_book.note(store.engine, mine)
    lease_book.note(store.engine, other)

    assert lease_book.current(store.engine) == [mine, other]
    assert lease_book.by_device(lease_book.current(store.engine, "a2a3")) == {"n/1": mine}

    lease_book.forget(store.engine, "1")
    lease_book.forget(store.engine, "1")
    assert lease_book.current(store.engine) == [other]


def test_a_lease_of_a_dead_process_or_past_its_time_is_none(store: Store) -> None:
    dead = replace(identity.current(), pid=4194399)
    for number, each in enumerate([lease("0", dead), lease("1", elsewhere(), hours=0.01), lease("2", elsewhere())]):
        lease_book.note(store.engine, each)
        assert each.id == str(number)

    assert [each.id for each in lease_book.current(store.engine)] == ["2"]


def test_what_is_over_goes_with_the_next_lease(store: Store) -> None:
    lease_book.note(store.engine, lease("1", elsewhere(), hours=0.01))
    lease_book.note(store.engine, lease("2"))
    lease_book.note(store.engine, lease("1"))  # its id is free again

    assert sorted(each.id for each in lease_book.current(store.engine)) == ["1", "2"]


def test_it_says_who_has_the_device_and_for_what() -> None:
    assert str(replace(lease("1"), until="T")) == "leased by ann@n until T for bash"
