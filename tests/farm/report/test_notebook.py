"""What a notebook shows: the numbers, and nobody's markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from farm.model.run import RunRecord
from farm.report.run import notebook
from tests.farm import samples


class Outline(HTMLParser):
    """Collects tags and words, and refuses an end that fits no beginning."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("record", [samples.run(), samples.running(), samples.compile_failure(), samples.over_budget()])
def test_every_record_has_a_well_formed_table(record: RunRecord) -> None:
    shown = Outline(notebook.html(record))

    assert shown.open == []
    assert shown.tags == {"div", "strong", "br", "small", "table", "thead", "tbody", "tr", "th", "td"}
    assert record.run_id in shown.words
    assert all(case in shown.words for case in record.cases)


def test_what_comes_from_outside_stays_text() -> None:
    hostile = "<img src=x onerror=alert(1)>&amp;"
    record = samples.run(reason=hostile, commit=hostile, kernel=hostile)

    shown = Outline(notebook.html(record))

    assert "img" not in shown.tags
    assert shown.words.count(hostile) == 3
