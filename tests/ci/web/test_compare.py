"""The page that compares says what `farm compare` says."""

from __future__ import annotations

import html
import re

import pytest

from ci.store.states import Scope
from farm.analysis.comparison import compare
from farm.model.run import RunRecord
from farm.report import comparison
from farm.store.run_store import Store
from kernel.clock import Clock
from tests.ci.web.site import Site
from tests.farm import planted, samples

pytestmark = pytest.mark.service

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def keep(site: Site, record: RunRecord, run_id: str, **changes: object) -> RunRecord:
    named = record.model_copy(update={"run_id": run_id, **changes})
    store = Store(site.engine)
    store.begin(named.model_copy(update={"verdict": None, "trials": []}))
    store.finish(named)
    return store.get(run_id)


def cells(page: str) -> list[str]:
    return [html.unescape(found).strip() for found in re.findall(r"<t[dh][^>]*>([^<]*)<", page)]


def test_the_page_has_every_number_and_sentence_of_the_command(site: Site) -> None:
    left, right = keep(site, planted.passed(), "left"), keep(site, planted.slow_stage(), "right")
    racing = keep(site, planted.race(), "racing", toolchain={"pypto": "0.3.0"})
    with site.visitor(Scope.READ) as visitor:
        slower = visitor.get("/compare", params={"a": "left", "b": "right"}).text
        raced = html.unescape(visitor.get("/compare", params={"a": "left", "b": "racing"}).text)

    found = compare(left, right)
    rows = [row[:4] for row in comparison.times(found)] + comparison.stages(found.cases[0])
    shown = cells(slower)
    for row in rows:
        assert any(shown[at : at + len(row)] == row for at in range(len(shown))), row
    for line in [
        *comparison.bits(compare(left, racing).cases[0]),
        *comparison.remarks(compare(left, racing)),
    ]:
        assert f"<li>{line}</li>" in raced
    assert "2 different results in B" in raced and "pypto is 0.2.0 in A, 0.3.0 in B" in raced


def test_a_commit_stands_for_its_newest_run_that_passed(site: Site) -> None:
    keep(site, planted.passed(), "older", commit=COMMIT, started_at="2026-01-01T00:00:00.000+00:00")
    keep(site, planted.passed(), "newer", commit=COMMIT, started_at="2026-01-02T00:00:00.000+00:00")
    keep(site, planted.slow_stage(), "failed", commit=COMMIT, started_at="2026-01-03T00:00:00.000+00:00")
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get("/compare", params={"a": COMMIT[:8], "b": "failed"}).text

    assert "/runs/newer" in page and "/runs/older" not in page


@pytest.mark.parametrize(
    ("b", "status", "said"),
    [
        ("nobody", 404, "no run 'nobody' in the store"),
        ("abcdef0", 422, "no run of such a commit that passed"),
        ("meas", 422, "different yardsticks, which are not compared"),
        ("other", 422, "no case in common"),
        ("", 200, "A commit stands for"),
    ],
)
def test_what_cannot_be_compared_is_said_on_the_page(site: Site, b: str, status: int, said: str) -> None:
    keep(site, planted.passed(), "left")
    keep(site, planted.passed(), "measured", clock=Clock.MEASURED)
    keep(site, samples.run(cases=["other"], trials=[]), "other")
    with site.visitor(Scope.READ) as visitor:
        answer = visitor.get("/compare", params={"a": "left", "b": b})

    assert answer.status_code == status
    assert said in html.unescape(answer.text) and 'id="b"' in answer.text
