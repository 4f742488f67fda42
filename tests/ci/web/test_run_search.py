"""What the search field of the list of runs finds, in both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, insert

from ci.queue.options import JobOptions
from ci.store.engine import open_database
from ci.store.states import JobKind, JobState, Scope
from ci.store.tables import JOB
from ci.web import run_search
from farm.store import run_queries
from farm.store.run_queries import RunFilter
from farm.store.run_store import Store
from tests.ci.web.site import Site
from tests.farm import samples

HEADS = ("aa" + "1" * 38, "ab" + "2" * 38)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A run without a job, one of a pull request, one of a branch."""
    engine = open_database(url, print)
    store = Store(engine)
    for number in range(3):
        changes = {"kernel": "swiglu_int8" if number == 2 else "qkv_proj_rope"}
        when = f"2026-01-01T00:00:0{number}.000+00:00"
        store.begin(samples.running(f"2026-run{number}", started_at=when, commit=HEADS[number % 2], **changes))
    with engine.begin() as connection:
        pull = {"subject": "pull/7", "kind": JobKind.PULL_REQUEST.value, "number": 7, "base_ref": "main"}
        branch = {"subject": "refs/heads/fast_Rope", "kind": JobKind.COMMIT.value, "number": None, "base_ref": ""}
        connection.execute(insert(JOB), [job(1, author="Ada", **pull), job(2, author="grace%", **branch)])
    yield engine
    engine.dispose()


def job(of: int, **fields: object) -> dict[str, object]:
    told: dict[str, object] = {
        "id": f"{of:032x}",
        "forge": "github",
        "repository": "octo-org/kernels",
        "head_sha": HEADS[of % 2],
    }
    told |= {"base_sha": "", "from_fork": False, "priority": "pull-request", "options": JobOptions().model_dump_json()}
    told |= {"state": JobState.RUNNING.value, "reason": "", "approved_by": "", "run_id": f"2026-run{of}"}
    return {**told, "created_at": "2026-01-01T00:00:00.000+00:00", **fields}


@pytest.mark.service
def test_every_word_must_be_found_in_the_run_or_in_its_job(engine: Engine) -> None:
    expected = {
        "": "210",
        "2026-run1": "1",
        "2026": "210",
        "aa11": "20",
        "AB2": "1",
        "qkv": "10",
        "SWIGLU": "2",
        "ada": "1",
        "main": "1",
        "#7": "1",
        "7": "1",
        "pull/7": "1",
        "fast_rope": "2",
        "fastxrope": "",  # "_" stands for itself
        "grace%": "2",
        "%": "2",  # and so does "%"
        "qkv ada": "1",
        "swiglu ada": "",
        "#8": "",
        "99999999999999999999": "",
        "'; DROP TABLE run; --": "",
    }
    found = {
        text: "".join(
            run.run_id[-1] for run in run_queries.page(engine, RunFilter(also=run_search.conditions(text)), 9).runs
        )
        for text in expected
    }

    assert found == expected


def test_more_words_than_anybody_types_are_refused() -> None:
    with pytest.raises(ValueError, match="9 words; 8 are enough"):
        run_search.conditions("a b c d e f g h i")


@pytest.mark.service
@pytest.mark.parametrize("text", ["x" * 201, "a b c d e f g h i", "nul\0"])
def test_the_page_refuses_what_no_run_can_be_found_by(site: Site, text: str) -> None:
    with site.visitor(Scope.READ) as visitor:
        answer = visitor.get("/runs", params={"text": text})

    assert answer.status_code == 422 and "text: " in answer.text


@pytest.mark.service
def test_what_was_searched_for_stays_in_the_field_and_in_the_links(site: Site) -> None:
    site.add_runs(*(f"r{number}" for number in range(52)))
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get("/runs", params={"text": 'qkv "r'}).text
        paged = visitor.get("/runs", params={"text": "qkv"}).text

    assert 'value="qkv &#34;r"' in page and "No run is like that" in page
    assert 'rel="next" href="/runs?text=qkv&amp;after=' in paged
