from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.web.auth.oauth_state import Errands
from ci.web.auth.session import BrowserSession, Sessions

KEY = b"k" * 32
ERRANDS = Errands(KEY)
SESSION = BrowserSession("an id", "")


@given(st.text(max_size=500))
def test_an_errand_comes_back_as_it_was_sent(place: str) -> None:
    begun = ERRANDS.begin(SESSION, "github", place)

    assert ERRANDS.end(begun.state, SESSION, "github") == begun
    assert begun.place == place


def test_no_two_have_the_same_state_or_verifier() -> None:
    errands = [ERRANDS.begin(SESSION, "github", "/") for _ in range(50)]

    assert len({each.state for each in errands}) == len({each.verifier for each in errands}) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", each.verifier) for each in errands)  # RFC 7636, 4.1
    assert not any(each.verifier in each.state for each in errands)


@pytest.mark.parametrize(
    ("session", "forge", "key"),
    [
        (None, "github", KEY),
        (BrowserSession("another id", ""), "github", KEY),
        (SESSION, "codeberg", KEY),
        (SESSION, "github", b"o" * 32),
    ],
)
def test_an_errand_of_another_session_forge_or_key_is_none(
    session: BrowserSession | None, forge: str, key: bytes
) -> None:
    state = ERRANDS.begin(SESSION, "github", "/").state

    assert Errands(key).end(state, session, forge) is None


@given(st.text())
def test_no_text_is_an_errand(text: str) -> None:
    assert ERRANDS.end(text, SESSION, "github") is None


def test_a_sessions_cookie_is_no_errand() -> None:
    assert ERRANDS.end(Sessions(KEY, secure=True).dump(SESSION), SESSION, "github") is None
