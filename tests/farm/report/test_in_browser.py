"""The HTML page in a real browser: drawn, silent, offline, usable by keyboard and screen reader, deaf to scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from farm.analysis.comparison import compare
from farm.model.run import RunRecord
from farm.report import comparison
from farm.report.html.page import page
from tests.browser import COLOURS, opened, until
from tests.farm import planted, samples
from tests.farm.report.test_markdown import with_names
from tests.farm.report.test_suite_reports import record as of_suite

ATTACKS = [
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
]


def written(record: RunRecord, directory: Path) -> Path:
    path = directory / "report.html"
    path.write_text(page(record), encoding="utf-8")
    return path


def test_the_page_draws_its_charts_and_breaks_no_accessibility_rule(browser: Browser, tmp_path: Path) -> None:
    source = samples.from_commit(rule_changes=samples.CHANGED).source
    of_commit = planted.wrong_numbers().model_copy(update={"source": source, "base": samples.merge_base()})
    path = written(of_commit, tmp_path)
    seen = opened(browser, path)
    shown = seen.page

    assert shown.locator(".plot .main-svg").count() >= 3
    assert shown.locator("#timeline-0 .bars path").count() == 4
    assert (seen.complaints, seen.requests) == ([], [path.as_uri()])
    shown.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")  # checked too
    assert seen.unfair() == []
    seen.turn("dark")
    ink = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
    until(shown, f"document.getElementById('timeline-0').layout.font.color === {ink}")
    assert seen.unfair(*COLOURS) == []


def test_the_targets_of_a_suite_are_narrowed_by_text_and_status(browser: Browser, tmp_path: Path) -> None:
    seen = opened(browser, written(of_suite(), tmp_path))
    shown = seen.page
    rows = shown.locator("#targets-table tbody tr:visible")

    assert rows.count() == 3 and seen.unfair() == []
    shown.get_by_label("Status").select_option("failed")
    assert (rows.count(), shown.locator("output").inner_text()) == (1, "1 of 3")
    shown.get_by_label("Status").select_option("any")
    shown.get_by_label("Only with").fill("A.PY")
    assert (rows.count(), seen.complaints) == (1, [])


def test_nothing_hostile_runs_or_is_fetched(browser: Browser, tmp_path: Path) -> None:
    for number, attack in enumerate(ATTACKS):
        (tmp_path / str(number)).mkdir()
        path = written(with_names(attack), tmp_path / str(number))
        seen = opened(browser, path)
        shown = seen.page

        assert (seen.dialogs, seen.complaints, seen.requests) == ([], [], [path.as_uri()]), attack
        assert shown.locator(".plot a, img").count() == 0
        shown.close()


def test_a_script_that_got_through_would_not_run(browser: Browser, tmp_path: Path) -> None:
    path = written(samples.run(), tmp_path)
    path.write_text(
        path.read_text(encoding="utf-8").replace("</footer>", "<script>alert(1)</script></footer>"), "utf-8"
    )

    seen = opened(browser, path)
    shown = seen.page

    assert seen.dialogs == []
    assert any("Content Security Policy" in complaint for complaint in seen.complaints)
    assert shown.locator(".plot .main-svg").count() > 0


def test_the_timeline_zooms_with_the_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    shown = opened(browser, written(planted.passed(), tmp_path)).page

    def shown_range() -> list[float]:
        found: list[float] = shown.evaluate("document.getElementById('timeline-0').layout.xaxis.range")
        return found

    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent") == "Skip to the report"
    shown.keyboard.press("Enter")
    for _ in range(40):
        shown.keyboard.press("Tab")
        if shown.evaluate("document.activeElement.dataset.zoom") == "in":
            break
    shown.keyboard.press("Enter")
    until(shown, "document.getElementById('timeline-0').layout.xaxis.range[0] > 0")
    assert shown_range() == pytest.approx([11.75, 35.25])

    for _ in range(4):
        shown.keyboard.press("Tab")
    shown.keyboard.press("Space")
    until(shown, "document.getElementById('timeline-0').layout.xaxis.range[0] === 0")
    assert shown_range() == [0, 47]


def test_printing_unfolds_everything_and_folds_it_again(browser: Browser, tmp_path: Path) -> None:
    tasks = [task.model_copy(update={"core": f"AIV_{number}"}) for number in range(80) for task in planted.tasks()[:1]]
    trials = [trial.model_copy(update={"tasks": tasks}) for trial in planted.wrong_numbers().trials]
    record = planted.wrong_numbers().model_copy(update={"trials": trials})
    shown = opened(browser, written(record, tmp_path), "dark").page
    folded = shown.locator("details:not([open])").count()
    wide = "Math.max(...[...document.querySelectorAll('.main-svg')].map((each) => each.width.baseVal.value))"
    assert shown.evaluate(wide) > 1000

    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("details:not([open])").count() == 0
    assert shown.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper').trim()") == "#ffffff"
    until(shown, f"{wide} <= 680")  # what is left of a sheet of A4 between its margins
    tall = "Math.max(...[...document.querySelectorAll('.main-svg')].map((each) => each.height.baseVal.value))"
    until(shown, f"{tall} <= 860")  # a chart is on one sheet, with its heading and caption
    shown.set_viewport_size({"width": 688, "height": 900})
    shown.emulate_media(media="print")
    assert shown.evaluate("document.documentElement.scrollWidth") == 688, "a wider table makes everything small"
    shown.emulate_media(media="screen")
    shown.set_viewport_size({"width": 1280, "height": 900})
    assert shown.pdf().startswith(b"%PDF")
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.locator("details:not([open])").count() == folded > 0
    until(shown, f"{wide} > 1000 && {tall} > 1000")


def test_charts_keep_their_height_when_the_window_changes(browser: Browser, tmp_path: Path) -> None:
    shown = opened(browser, written(planted.passed(), tmp_path)).page
    wide = "document.querySelector('#wall-0 .main-svg').width.baseVal.value"
    before = shown.evaluate(wide)

    shown.set_viewport_size({"width": 800, "height": 900})
    until(shown, f"{wide} < {before}")

    over = """[...document.querySelectorAll('figure.chart')].filter((each) => each.querySelector('.main-svg')
        .getBoundingClientRect().bottom > each.querySelector('figcaption').getBoundingClientRect().top).length"""
    assert shown.evaluate(over) == 0


def test_the_page_of_a_comparison_breaks_no_accessibility_rule(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "compare.html"
    path.write_text(comparison.html(compare(planted.passed(), planted.race())), encoding="utf-8")
    seen = opened(browser, path, "dark")

    assert "2 different results in B" in seen.page.locator("main").inner_text()
    assert seen.unfair() == []
    seen.turn("light")
    assert (seen.unfair(*COLOURS), seen.complaints, seen.requests) == ([], [], [path.as_uri()])
