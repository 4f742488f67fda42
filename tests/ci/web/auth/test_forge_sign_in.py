"""Sign-in with an account of a forge, over real HTTP from the sign-in page to the forge and back."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from itsdangerous import TimestampSigner
from playwright.sync_api import expect

from ci.config.forge import INSECURE
from ci.web.auth.oauth_state import LIFE_S
from farm.store.run_store import Store
from tests.browser import chromium, tab
from tests.ci.web.forge_site import CALLBACK, START, ForgeSite, forge_site
from tests.ci.web.site import Visitor, value
from tests.fakes.github_api import Fault
from tests.fakes.oauth import CLIENT_SECRET

pytestmark = pytest.mark.service

DEVICE = "/devices/a2a3sim/10.0.0.1/1"


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INSECURE, "1")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ForgeSite]:
    with forge_site(tmp_path) as site:
        site.add_runs("r1")
        yield site


@pytest.fixture
def visitor(site: ForgeSite) -> Iterator[Visitor]:
    with Visitor(site.url) as visitor:
        yield visitor


def refused(answer: httpx.Response) -> str:
    """What the page says, which offers to begin again."""
    said = re.search(r'role="alert">([^<]*)<', answer.text)
    assert said and f'href="{START}?' in answer.text, answer.text
    return said[1]


@pytest.mark.parametrize("kind", ["github", "gitea"])
def test_an_account_of_either_forge_opens_the_page_that_was_wanted(tmp_path: Path, kind: str) -> None:
    with forge_site(tmp_path, kind) as site, Visitor(site.url) as visitor:
        site.add_runs("r1")
        back = site.sign_in(visitor, "ann", "write", "/runs?verdict=passed")
        page = visitor.get(back.headers["location"])

    assert (back.status_code, back.headers["location"]) == (303, "/runs?verdict=passed")
    assert "ann@github" in page.text and "/runs/r1" in page.text
    assert site.api.problems == []


@pytest.mark.parametrize(
    ("permission", "status", "drawn"), [("write", 403, False), ("maintain", 303, True), ("admin", 303, True)]
)
def test_what_somebody_may_do_at_the_forge_decides_what_they_may_do_here(
    site: ForgeSite, visitor: Visitor, permission: str, status: int, drawn: bool
) -> None:
    site.sign_in(visitor, "ann", permission)
    page = visitor.get(DEVICE)
    answer = visitor.post(f"{DEVICE}/quarantine", data={"mark": value(page, "mark"), "reason": "loud fan"})

    assert ("Quarantine</button>" in page.text, answer.status_code) == (drawn, status)
    health = Store(site.engine).device_health("a2a3sim", "10.0.0.1/1")
    assert health is not None and health.why == ("loud fan (ann@github)" if drawn else "")


def test_who_may_only_read_gets_in_where_the_configuration_says_so(tmp_path: Path) -> None:
    for number, more in enumerate(("", 'least = "read"\n')):
        (tmp_path / str(number)).mkdir()
        with forge_site(tmp_path / str(number), more=more) as site, Visitor(site.url) as visitor:
            answer = site.sign_in(visitor, "rita", "read")
            assert answer.status_code == (303 if more else 403)
            assert visitor.get("/runs").status_code == (200 if more else 303)
    assert site.api.problems == []


def test_a_stranger_is_told_why_and_has_no_session(site: ForgeSite, visitor: Visitor) -> None:
    site.api.oauth.user = "stranger"

    answer = visitor.get(site.way_back(visitor))

    assert answer.status_code == 403 and "no write access to octo-org/kernels" in refused(answer)
    assert visitor.get("/runs").status_code == 303


def test_signing_in_begins_a_new_session_and_ends_with_it(site: ForgeSite, visitor: Visitor) -> None:
    visitor.get("/sign-in")
    planted = visitor.cookies["farm_session"]
    site.sign_in(visitor, "ann", "write")
    page = visitor.get("/runs")

    visitor.cookies.set("farm_session", planted, domain="127.0.0.1")
    assert visitor.get("/runs").status_code == 303
    assert page.status_code == 200
    cookie = page.request.headers["cookie"].partition("=")[2]
    visitor.cookies.clear()
    visitor.cookies.set("farm_session", cookie, domain="127.0.0.1")
    out = visitor.post("/sign-out", data={"mark": value(page, "mark")})
    assert out.status_code == 303 and visitor.get("/runs").status_code == 303


def test_a_way_back_is_good_once_and_in_the_browser_that_left_by_it(site: ForgeSite, visitor: Visitor) -> None:
    site.api.oauth.user, site.api.permissions = "ann", {"ann": "admin"}
    back = site.way_back(visitor)
    with Visitor(site.url) as other:
        other.get("/sign-in")
        stolen = other.get(back)
        assert other.get("/runs").status_code == 303
    first = visitor.get(back)
    replayed = visitor.get(back)

    assert (stolen.status_code, first.status_code, replayed.status_code) == (403, 303, 403)
    assert "not begun in this browser" in refused(stolen) and "used already" in refused(replayed)
    assert visitor.get("/runs").status_code == 200  # the replay took nothing away


def tampered(back: str) -> dict[str, str]:
    """Ways back that nobody was sent."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    state = query["state"]
    begin = back.partition("?")[0]
    found = {
        "cut": state[:-1],
        "turned": state[::-1],
        "none": "",
        "changed": ("A" if state[0] != "A" else "B") + state[1:],
    }
    return {name: f"{begin}?{urlencode({**query, 'state': forged})}" for name, forged in found.items()}


def test_a_state_that_this_service_has_not_signed_is_refused_before_the_forge_is_asked(
    site: ForgeSite, visitor: Visitor
) -> None:
    site.api.oauth.user, site.api.permissions = "ann", {"ann": "admin"}
    back = site.way_back(visitor)

    answers = {name: visitor.get(forged).status_code for name, forged in tampered(back).items()}

    assert set(answers.values()) == {403}, answers
    assert site.api.oauth.tokens == {}
    assert visitor.get(back).status_code == 303  # the true one still works


def test_a_state_ends_after_ten_minutes(site: ForgeSite, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    site.api.oauth.user, site.api.permissions = "ann", {"ann": "admin"}
    back = site.way_back(visitor)
    now = TimestampSigner.get_timestamp
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: now(signer) + LIFE_S + 2)

    assert "older than ten minutes" in refused(visitor.get(back))


def test_nobody_is_sent_elsewhere_after_sign_in(site: ForgeSite, visitor: Visitor) -> None:
    for place in ("https://evil.example/", "//evil.example/", "/\\evil.example/", f"/{'x' * 600}"):
        back = site.sign_in(visitor, "ann", "write", place)
        assert back.headers["location"] == "/", place


def test_what_the_forge_refuses_or_fails_at_is_one_page_and_one_line(
    site: ForgeSite, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.api.permissions = {"ann": "admin"}
    declined = visitor.get(site.way_back(visitor))
    site.api.oauth.user = "ann"
    query = dict(parse_qs(urlsplit(site.way_back(visitor)).query))
    spent = visitor.get(CALLBACK, params={"state": query["state"][0], "code": "0123456789"})
    site.api.oauth.down = True
    away = visitor.get(site.way_back(visitor))
    site.api.oauth.down = False
    site.api.faults += [Fault(500, method="GET"), Fault(500, method="GET")]
    nameless = visitor.get(site.way_back(visitor))

    assert [answer.status_code for answer in (declined, spent, away, nameless)] == [403, 403, 503, 503]
    assert "has not let you in" in refused(declined) and "does not know that code" in refused(spent)
    assert "does not answer as it should" in refused(away) and refused(nameless) == refused(away)
    said = [record for record in caplog.records if record.name == "ci.web.auth.forge_sign_in"]
    assert len(said) == 4 and not any(record.exc_info for record in caplog.records)
    assert CLIENT_SECRET not in caplog.text


def test_a_forge_that_nobody_signs_in_by_is_not_found(site: ForgeSite, visitor: Visitor) -> None:
    assert [visitor.get(f"/sign-in/other{path}").status_code for path in ("", "/callback")] == [404, 404]


def test_in_a_browser_from_a_page_to_the_forge_and_back_to_that_page(site: ForgeSite) -> None:
    site.api.oauth.user, site.api.permissions = "ann", {"ann": "maintain"}
    with chromium() as browser, tab(browser, site.url) as opened:
        opened.go(DEVICE)
        assert opened.unfair() == []
        opened.page.get_by_role("link", name="Sign in by github").click()
        expect(opened.page.get_by_role("heading", level=1)).to_contain_text("10.0.0.1/1")
        expect(opened.page.get_by_text("ann@github")).to_be_visible()
        opened.page.get_by_label("Reason").fill("loud fan")
        opened.page.get_by_role("button", name="Quarantine").click()
        expect(opened.page.get_by_role("button", name="Release")).to_be_visible()
        opened.page.get_by_role("button", name="Sign out").click()
        expect(opened.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert opened.complaints == []
        assert {httpx.URL(each).path for each in opened.elsewhere} == {"/login/oauth/authorize"}
