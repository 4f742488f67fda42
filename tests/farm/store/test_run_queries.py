from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, or_

from farm.model.run import Verdict
from farm.store import run_queries
from farm.store.engine import open_engine
from farm.store.run_queries import RunFilter
from farm.store.run_store import Store
from farm.store.tables import RUN
from tests.farm import samples

COMMITS = ("aa" + "1" * 38, "ab" + "2" * 38, "unknown")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    with Store.open(url) as store:
        for number in range(7):
            changes = {"kernel": "other"} if number == 6 else {}
            record = samples.run(
                run_id=f"2026-{number}",
                commit=COMMITS[number % 3],
                started_at=f"2026-01-01T00:00:0{number // 2}.000+00:00",  # two of each moment
                verdict=[Verdict.PASSED, Verdict.FAILED][number % 2],
                **changes,
            )
            store.begin(record.model_copy(update={"verdict": None, "trials": []}))
            store.finish(record)
    return url


def ids(url: str, chosen: RunFilter) -> list[str]:
    engine = open_engine(url, print)
    try:
        return [run.run_id[-1] for run in run_queries.page(engine, chosen, 50).runs]
    finally:
        engine.dispose()


def starting(text: str) -> tuple[ColumnElement[bool], ...]:
    return (or_(run_queries.begins(RUN.c.id, text), run_queries.begins(RUN.c.commit, text)),)


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (RunFilter(), "6543210"),
        (RunFilter(verdict="failed"), "531"),
        (RunFilter(verdict="running"), ""),
        (RunFilter(kernel="other"), "6"),
        (RunFilter(also=starting("a")), "64310"),
        (RunFilter(also=starting("ab2")), "41"),
        (RunFilter(also=starting("2026-3")), "3"),
        (RunFilter(also=starting("unk"), verdict="passed"), "2"),
        (RunFilter(also=starting("%")), ""),
        (RunFilter(commit=COMMITS[1]), "41"),
    ],
)
def test_runs_are_found_by_what_they_have_in_common(store_url: str, chosen: RunFilter, found: str) -> None:
    assert "".join(ids(store_url, chosen)) == found


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_follow_each_other_without_a_gap(store_url: str, limit: int) -> None:
    engine = open_engine(store_url, print)
    seen, after = [], None
    while True:
        page = run_queries.page(engine, RunFilter(), limit, after)
        assert len(page.runs) <= limit
        seen += [run.run_id[-1] for run in page.runs]
        after = page.next
        if after is None:
            break
    engine.dispose()

    assert "".join(seen) == "6543210"


def test_the_newest_passed_run_of_each_commit_is_found(store_url: str) -> None:
    engine = open_engine(store_url, print)
    assert run_queries.newest_passed(engine, "a") == {COMMITS[0]: "2026-6", COMMITS[1]: "2026-4"}
    assert run_queries.newest_passed(engine, "ab2") == {COMMITS[1]: "2026-4"}
    assert run_queries.newest_passed(engine, "ac") == {}
    engine.dispose()


def test_kernels_are_listed_with_their_platforms(store_url: str) -> None:
    engine = open_engine(store_url, print)
    assert run_queries.kernels(engine) == [("other", "a2a3sim"), ("qkv_proj_rope", "a2a3sim")]
    engine.dispose()
