"""What is said of a key that a profile does not have."""

from __future__ import annotations

import pytest

from kernel.harness.profile import Profile
from kernel.harness.profile_keys import unknown_key


@pytest.mark.parametrize(
    ("place", "near"),
    [
        (("sumary",), "summary"),
        (("lines", "pased"), "passed"),
        (("lines", "mismatch", "begn"), "begin"),
        (("signatures", 3, "knd"), "kind"),
        (("platforms", "a2a3", "clok"), "clock"),
        (("platforms", "clock", "clok"), "clock"),
        (("data", "replay", "ofered"), "offered"),
        (("setup", 0, "limits", "secnds"), "seconds"),
    ],
)
def test_the_nearest_key_of_the_same_table_is_named(place: tuple[str | int, ...], near: str) -> None:
    assert unknown_key(Profile, place) == f"no such key; did you mean '{near}'?"


def test_where_none_is_near_all_are_named() -> None:
    assert unknown_key(Profile, ("swimlane", "zzz")) == "no such key; known here: losses, names, records"


def test_below_what_is_no_table_nothing_is_known() -> None:
    assert unknown_key(Profile, ("name", "zzz")) == "no such key"
