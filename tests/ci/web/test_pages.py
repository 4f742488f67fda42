"""Pages in the language that a browser prefers."""

from __future__ import annotations

import pytest

from ci.store.states import Scope
from tests.ci.web.site import Site

pytestmark = pytest.mark.service


def test_a_page_is_in_the_language_that_the_browser_prefers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.visitor(Scope.READ) as visitor:
        chinese = visitor.get("/jobs", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"})
        english = visitor.get("/jobs")
        monkeypatch.setenv("FARM_LANG", "zh")
        for_all = visitor.get("/jobs", headers={"accept-language": "en"})

    assert '<html lang="zh-CN">' in chinese.text and "<h1>任务</h1>" in chinese.text and ">现在</a>" in chinese.text
    assert '<html lang="en">' in english.text and "<h1>Jobs</h1>" in english.text
    assert chinese.headers["vary"] == english.headers["vary"] == "Accept-Language"
    assert for_all.text.count("任务") == chinese.text.count("任务")


def test_the_part_that_moves_is_in_the_language_of_its_page(site: Site) -> None:
    words = {"zh": "没有运行", "en": "Nothing runs"}
    with site.visitor(Scope.READ) as visitor:
        for language, said in words.items():
            asked = {"accept": "text/event-stream", "accept-language": language}
            with visitor.stream("GET", "/now/live", headers=asked) as answer:
                lines = answer.iter_lines()
                assert any(said in line for line in lines)
