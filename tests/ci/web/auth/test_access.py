"""Who may see and do what on the pages, over real HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ci.api import tokens
from ci.store.states import Scope
from farm.model.device_health import DeviceState
from farm.store.run_store import Store
from tests.ci.web.site import Site, Visitor, value
from tests.farm import planted

pytestmark = pytest.mark.service

DEVICE = "/devices/a2a3sim/10.0.0.1/1"
PAGES = ["/runs", "/devices", DEVICE]


def state(site: Site) -> DeviceState:
    health = Store(site.engine).device_health("a2a3sim", "10.0.0.1/1")
    assert health is not None
    return health.state


def test_without_signing_in_every_page_leads_to_the_sign_in_page(site: Site) -> None:
    site.add_runs("r1")
    with site.visitor() as visitor:
        answers = [visitor.get(page) for page in PAGES]
        live = visitor.get("/runs", headers={"X-Farm-Live": "1"})

    assert {answer.status_code for answer in answers} == {303}
    assert [answer.headers["location"] for answer in answers] == [f"/sign-in?next={page}" for page in PAGES]
    assert live.status_code == 401


def test_a_token_opens_the_page_that_was_wanted(site: Site) -> None:
    site.add_runs("r1")
    with site.visitor() as visitor:
        signed = visitor.sign_in(site.token(Scope.READ), "/runs?verdict=passed")
        page = visitor.get(signed.headers["location"])

    assert signed.headers["location"] == "/runs?verdict=passed"
    assert page.status_code == 200 and "/runs/r1" in page.text


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    for url, secure in (("http://127.0.0.1", False), ("https://farm.example.org", True)):
        (tmp_path / url[:5]).mkdir()
        site = Site(tmp_path / url[:5], url=url)
        with site.visitor() as visitor:
            cookie = visitor.get("/sign-in").headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
        assert ("Secure" in cookie, cookie.startswith("__Host-")) == (secure, secure)
        site.engine.dispose()


def test_a_token_that_is_none_is_refused_and_shown_nowhere(site: Site) -> None:
    with site.visitor() as visitor:
        refused = visitor.sign_in("farm_guessed<script>")

    assert refused.status_code == 403
    assert "unknown, expired or revoked" in refused.text and "guessed" not in refused.text


def test_revoking_a_token_ends_its_sessions(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        assert visitor.get("/runs").status_code == 200
        tokens.revoke(site.engine, "t0")
        assert visitor.get("/runs").status_code == 303


def test_signing_out_ends_the_session(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        out = visitor.post("/sign-out", data={"mark": value(visitor.get("/runs"), "mark")})
        assert out.status_code == 303
        assert visitor.get("/runs").status_code == 303


def test_public_reading_opens_pages_and_shows_no_button(tmp_path: Path) -> None:
    site = Site(tmp_path, public_read=True)
    site.add_runs("r1")
    with site.visitor() as visitor:
        pages = [visitor.get(page) for page in PAGES]

    assert {page.status_code for page in pages} == {200}
    assert not any('method="post"' in page.text for page in pages)


def test_devices_are_taken_out_and_brought_back_by_admins_with_a_reason(site: Site) -> None:
    site.add_runs("r1")
    with site.visitor(Scope.READ, Scope.ADMIN) as visitor:
        page = visitor.get(DEVICE)
        mark = value(page, "mark")
        unreasoned = visitor.post(f"{DEVICE}/quarantine", data={"mark": mark, "reason": " "})
        early = visitor.post(f"{DEVICE}/release", data={"mark": mark, "reason": "well"})
        assert state(site) is DeviceState.HEALTHY
        out = visitor.post(f"{DEVICE}/quarantine", data={"mark": mark, "reason": "fan <b>broken</b>"})
        assert state(site) is DeviceState.QUARANTINED
        shown = visitor.get(DEVICE).text
        back = visitor.post(f"{DEVICE}/release", data={"mark": mark, "reason": "new fan"})

    assert "Quarantine" in page.text
    assert (unreasoned.status_code, early.status_code) == (422, 409)
    assert (out.status_code, out.headers["location"], back.status_code) == (303, DEVICE, 303)
    assert "fan &lt;b&gt;broken&lt;/b&gt; (token t0)" in shown
    assert state(site) is DeviceState.SUSPECT


def test_a_device_that_was_never_seen_is_not_made_by_a_form(site: Site) -> None:
    with site.visitor(Scope.READ, Scope.ADMIN) as visitor:
        mark = value(visitor.get("/runs"), "mark")
        answer = visitor.post("/devices/a2a3sim/nowhere/1/quarantine", data={"mark": mark, "reason": "x"})

    assert answer.status_code == 404
    assert Store(site.engine).devices() == []


def test_scopes_decide_which_buttons_there_are_and_which_forms_are_taken(site: Site) -> None:
    site.add_runs("r1")
    with site.visitor(Scope.READ, Scope.SUBMIT) as visitor:
        page = visitor.get(DEVICE)
        answer = visitor.post(f"{DEVICE}/quarantine", data={"mark": value(page, "mark"), "reason": "mine"})

    assert "Quarantine" not in page.text
    assert answer.status_code == 403 and "has no scope &#39;admin&#39;" in answer.text
    assert state(site) is DeviceState.HEALTHY


def forged(visitor: Visitor, other: str) -> list[httpx.Response]:
    """The forms as another site would have a browser send them: with the cookie, without this session's mark."""
    marks = ["", "x", other]
    paths = [f"{DEVICE}/quarantine", f"{DEVICE}/release", "/sign-out", "/sign-in"]
    return [visitor.post(path, data={"mark": mark, "reason": "x"}) for path in paths for mark in marks]


def test_a_form_without_the_mark_of_this_session_does_nothing(site: Site) -> None:
    site.add_runs("r1")
    with site.visitor(Scope.READ, Scope.ADMIN) as stranger:
        other = value(stranger.get("/runs"), "mark")
    with site.visitor(Scope.READ, Scope.ADMIN) as visitor:
        answers = forged(visitor, other)
        assert visitor.get("/runs").status_code == 200

    assert {answer.status_code for answer in answers} == {403}
    assert state(site) is DeviceState.HEALTHY


def test_every_answer_is_strict_and_errors_are_pages(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        answers = [
            visitor.get(path) for path in ("/runs", "/nothing", "/runs?verdict=odd", "/assets/farm.css", "/sign-in")
        ]
        missing = visitor.get("/api/v1/nothing")

    assert [answer.status_code for answer in answers] == [200, 404, 422, 200, 200]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "choose one of running, passed" in answers[2].text
    assert missing.headers["content-type"] == "application/problem+json"


def test_assets_are_served_compressed_and_never_from_elsewhere(site: Site) -> None:
    with site.visitor() as visitor:
        plotly = visitor.get("/assets/plotly.js")
        found = [visitor.get(path).status_code for path in ("/assets/none.js", "/assets/..%2fapp.py", "/assets/app.py")]

    assert plotly.headers["content-encoding"] == "gzip" and "immutable" in plotly.headers["cache-control"]
    assert "plotly.js" in plotly.text[:60]
    assert set(found) <= {404, 422}


def test_a_form_larger_than_any_page_makes_is_refused(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        assert visitor.post("/sign-out", data={"mark": "x" * (65 << 10)}).status_code == 413


def test_the_page_of_a_run_has_the_figures_of_its_report_under_the_strict_policy(site: Site) -> None:
    record = planted.slow_stage()
    Store(site.engine).begin(record.model_copy(update={"verdict": None, "trials": []}))
    Store(site.engine).finish(record)
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get(f"/runs/{record.run_id}")
        script = visitor.get("/assets/report.js")

    for figure in ("wall-0", "timeline-0"):
        assert f'data-figure="{figure}"' in page.text
    for part in ("Why", "Tolerance", "Determinism", "µs on the critical path", "Tuning"):
        assert part in page.text
    assert "unsafe" not in page.headers["content-security-policy"] and "<script>" not in page.text
    assert script.status_code == 200 and "data-figure" in script.text


def test_the_report_is_made_from_the_record_and_shown_apart(site: Site) -> None:
    site.add_runs("r1")
    (site.directory / "runs" / "r1" / "report.html").write_text("<h1>written by a kernel</h1>")
    with site.visitor(Scope.READ) as visitor:
        report = visitor.get("/runs/r1/report")

    assert report.status_code == 200 and "written by a kernel" not in report.text and "r1" in report.text
    policy = report.headers["content-security-policy"]
    assert policy.startswith("sandbox ") and "allow-same-origin" not in policy and "default-src 'none'" in policy
