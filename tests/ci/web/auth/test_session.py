from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from ci.web.auth import key
from ci.web.auth.session import LIFE_S, Account, BrowserSession, Sessions
from ci.web.auth.sign_in import here

KEY = b"k" * 32


def test_a_session_comes_back_out_of_its_cookie() -> None:
    sessions = Sessions(KEY, secure=True)
    begun = sessions.begin("me")
    by_a_forge = sessions.begin(account=Account("github", "ann"))

    assert sessions.load(sessions.dump(begun)) == begun
    assert sessions.load(sessions.dump(by_a_forge)) == by_a_forge
    assert sessions.begin("me").id != begun.id


@pytest.mark.parametrize(
    "cookie",
    [None, "", "x", "WyJhIiwiYiJd.x.y", Sessions(b"o" * 32, True).dump(BrowserSession("a", "b"))],
    ids=["none", "empty", "no-cookie", "forged", "of-another-key"],  # the last one's text changes by the second
)
def test_a_cookie_that_this_key_has_not_signed_is_no_session(cookie: str | None) -> None:
    assert Sessions(KEY, secure=True).load(cookie) is None


def test_a_cookie_ends_after_a_working_day(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(KEY, secure=True)
    cookie = sessions.dump(BrowserSession("a", "me"))
    later = int(time.time()) + LIFE_S + 2
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: later)

    assert sessions.load(cookie) is None


def test_what_is_signed_for_another_purpose_is_no_session() -> None:
    other = URLSafeTimedSerializer(KEY, salt="farm.other").dumps(["a", "me"])

    assert Sessions(KEY, secure=True).load(str(other)) is None


def test_a_form_belongs_to_the_session_it_was_drawn_in() -> None:
    sessions = Sessions(KEY, secure=True)
    mine, other = sessions.begin("me"), sessions.begin("me")

    assert sessions.marked(mine, sessions.mark(mine))
    assert not sessions.marked(mine, sessions.mark(other))
    assert not sessions.marked(mine, "")
    assert not sessions.marked(mine, "é")


def test_over_https_the_cookie_is_for_this_host_alone() -> None:
    assert Sessions(KEY, secure=True).cookie.startswith("__Host-")
    assert not Sessions(KEY, secure=False).cookie.startswith("__Host-")


@pytest.mark.parametrize(
    ("place", "there"),
    [
        ("/runs?verdict=failed&after=x", "/runs?verdict=failed&after=x"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
    ],
)
def test_after_sign_in_nobody_is_sent_elsewhere(place: str, there: str) -> None:
    assert here(place) == there


def test_the_key_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    found: set[bytes] = set()
    threads = [threading.Thread(target=lambda: found.add(key.load_or_make(tmp_path / "home"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    path = tmp_path / "home" / key.NAME
    assert found == {path.read_bytes()} and len(path.read_bytes()) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [key.NAME]


def test_a_key_that_others_can_read_or_that_is_too_short_is_refused(tmp_path: Path) -> None:
    key.load_or_make(tmp_path)
    path = tmp_path / key.NAME
    path.chmod(0o644)
    with pytest.raises(key.SessionKeyError, match="chmod 600"):
        key.load_or_make(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(key.SessionKeyError, match="5 bytes"):
        key.load_or_make(tmp_path)
