"""The wall of devices: who has a device that no run holds."""

from __future__ import annotations

from ci.store.states import Scope
from farm.process import identity
from farm.store import lease_book
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.timestamps import now
from tests.ci.web.site import Site


def test_a_device_that_a_person_has_leased_is_shown_as_theirs(site: Site) -> None:
    until = now()
    entry = PersonLease("l-1", "a2a3", ("n/2",), "<b>ann", "bash", until, until, identity.current())
    Store(site.engine).see("a2a3", [{"id": f"n/{index}", "node": "n", "soc": "", "card": ""} for index in (1, 2)])
    lease_book.note(site.engine, entry)

    with site.visitor(Scope.READ) as visitor:
        page = visitor.get("/devices").text

    assert page.count(f"leased by &lt;b&gt;ann until {until} for bash") == 1
    assert page.count("<dd>nothing</dd>") == 1
    assert "leased</span> 1<" in page
