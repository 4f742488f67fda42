"""The page on which a profile is tried: what the reader of a run says, and nothing of it is kept."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from ci.store.states import Scope
from ci.web.suites import MOST_LOG_BYTES, MOST_PROFILE_BYTES
from kernel.harness.profiles import text_of
from tests.browser import PATIENCE_MS, tab
from tests.ci.web.site import Site, Visitor, value
from tests.fakes.served import served

pytestmark = pytest.mark.service

expect.set_options(timeout=PATIENCE_MS)

LOG = "<b>hello\n[RUN]   'y' FAIL  shape=(1,)\nOutput(s) does not match golden: ['y', '<b>']\n"


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    directory = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_HOME", str(directory / "home"))
        site = Site(directory)
    with site.visitor(Scope.READ) as visitor:
        yield visitor
    site.engine.dispose()


def attempt(visitor: Visitor, live: bool = False, **fields: str) -> httpx.Response:
    mark = value(visitor.get("/suites"), "mark")
    given = {"profile": text_of("pypto-lib"), "log": LOG, "exit_code": "1", "file": "", "mark": mark, **fields}
    return visitor.post("/suites", data=given, headers={"X-Farm-Live": "1"} if live else {})


def rows(answer: httpx.Response) -> list[list[str]]:
    found = re.findall(r"<tr><th scope=\"row\"[^>]*>(.*?)</tr>", answer.text)
    return [[html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.split("</t[hd]>", row)][:-1] for row in found]


def test_each_line_stands_with_its_rule_and_the_run_is_judged(visitor: Visitor) -> None:
    answer = attempt(visitor)

    assert answer.status_code == 200
    assert "failed: y, &lt;b&gt;" in answer.text and "2 of 3 lines match a rule" in answer.text
    assert rows(answer)[:2] == [
        ["2", "lines.output", "[RUN] 'y' FAIL shape=(1,)"],
        ["3", "lines.mismatch.begin", "Output(s) does not match golden: ['y', '<b>']"],
    ]
    assert ["lines.passed", "none"] in rows(answer)
    assert "&lt;b&gt;hello" in answer.text and "<b>" not in answer.text  # what was written stays in the form, as text


def test_the_script_gets_the_part_with_the_answer_alone(visitor: Visitor) -> None:
    answer = attempt(visitor, live=True)

    assert answer.headers["x-farm-part"] == "1"
    assert "failed: y" in answer.text and "<form" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_is_wrong_with_a_profile_is_one_line_with_key_and_nearest_name(visitor: Visitor) -> None:
    answer = attempt(visitor, profile=text_of("pypto-lib").replace("\npassed = ", "\npased = ", 1))

    assert "The profile cannot be used: lines.pased: no such key; did you mean &#39;passed&#39;?" in answer.text
    assert rows(answer) == []


def test_an_included_profile_is_where_to_begin(visitor: Visitor) -> None:
    page, unknown = visitor.get("/suites?profile=simpler"), visitor.get("/suites?profile=simpleer")

    assert html.escape(text_of("simpler"), quote=False).splitlines()[0] in html.unescape(page.text)
    assert unknown.status_code == 404 and "did you mean" in unknown.text


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"profile": "#" * (MOST_PROFILE_BYTES + 1)}, 422, "the profile has 65,537 bytes"),
        ({"log": "µ" * (MOST_LOG_BYTES // 2 + 1)}, 422, "the log has 1,048,578 bytes"),
        ({"log": "x" * 4 * MOST_LOG_BYTES}, 413, "the form has more than"),
        ({"exit_code": "1e3"}, 422, "is not an exit code"),
        ({"exit_code": "256"}, 422, "is not an exit code"),
        ({f"more{number}": "" for number in range(8)}, 422, "more than 8 fields"),
        ({"mark": "of another site"}, 403, "this form is not of your present session"),
    ],
)
def test_what_is_too_much_or_wrong_is_refused(
    visitor: Visitor, fields: dict[str, str], status: int, words: str
) -> None:
    answer = attempt(visitor, False, **fields)

    assert answer.status_code == status
    assert words in html.unescape(answer.text)


def test_it_is_for_those_who_have_signed_in(site: Site) -> None:
    with site.visitor() as visitor:
        seen = visitor.get("/suites")
        sent = visitor.post("/suites", data={"profile": "x"}, headers={"X-Farm-Live": "1"})

    assert (seen.status_code, seen.headers["location"]) == (303, "/sign-in?next=/suites")
    assert sent.status_code == 401


def test_an_answer_follows_what_is_written(site: Site, browser: Browser) -> None:
    with served(site.app) as url, tab(browser, url) as opened:
        opened.sign_in(site.token(Scope.READ))
        opened.go("/suites?profile=pypto-lib")
        opened.page.get_by_label("Output of a run").fill(LOG)
        expect(opened.page.locator("#reading")).to_contain_text("2 of 3 lines match a rule")
        unfair = opened.unfair()
        opened.page.get_by_label("Profile: TOML").fill("name = 1")
        expect(opened.page.get_by_role("alert")).to_contain_text("The profile cannot be used: name: ")
        opened.page.set_viewport_size({"width": 375, "height": 800})
        wide = opened.page.evaluate("document.documentElement.scrollWidth")

    assert (unfair, opened.complaints, opened.elsewhere) == ([], [], [])
    assert wide <= 375
