"""The list of jobs, and the buttons on one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from ci.config import directories
from ci.queue.claims import Claims, JobClaim
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.outcome import JobOutcome
from ci.store.states import JobKind, Scope
from ci.store.tables import JOB, OUTBOX
from farm.model.audit import AuditAction
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.process import identity
from farm.store import audit_log
from farm.store.engine import transaction
from tests.ci.web.site import Site, Visitor, value

pytestmark = pytest.mark.service


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    for number, author, fork in ((7, "ann", True), (8, "bob", False)):
        commit = (f"pull/{number}", number, f"{number}" * 40, "1" * 40, "main")
        asked = Validate(JobKind.PULL_REQUEST, *commit, fork, author, Priority.PULL_REQUEST)
        with transaction(made.engine, "written", write=True) as connection:
            Queue(connection, made.config, made.config.repository[1]).validate(asked)
    return made


def jobs(site: Site, *columns: str) -> list[Any]:
    with transaction(site.engine, "read") as connection:
        return [
            tuple(row)
            for row in connection.execute(select(*(JOB.c[name] for name in columns)).order_by(JOB.c.sequence))
        ]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["pull/8", "pull/7"]),
        ("?pull=%237", ["pull/7"]),
        ("?author=bob", ["pull/8"]),
        ("?state=held", ["pull/7"]),
        ("?state=passed", []),
        ("?repository=octo-org/kernels&pull=8", ["pull/8"]),
        ("?repository=nobody/nothing", []),
    ],
)
def test_every_job_is_listed_before_it_has_a_run(site: Site, query: str, shown: list[str]) -> None:
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get(f"/jobs{query}")

    assert page.status_code == 200
    found = [word for word in ("pull/8", "pull/7") if f">{word}</a>" in page.text]
    assert found == shown
    assert ("No job is like that" in page.text) == (not shown)


@pytest.mark.parametrize("query", ["?pull=x", "?pull=99999999999", "?state=done", "?after=x"])
def test_a_filter_that_means_nothing_is_refused(site: Site, query: str) -> None:
    with site.visitor(Scope.READ) as visitor:
        assert visitor.get(f"/jobs{query}").status_code in (400, 422)


def test_a_held_job_is_approved_by_who_may_and_no_one_else(site: Site) -> None:
    held = jobs(site, "id")[0][0]
    with site.visitor(Scope.READ) as reader:
        page = reader.get(f"/jobs/{held}")
        assert "Approve this commit" not in page.text
        refused = reader.post(f"/jobs/{held}/approve", data={"mark": value(page, "mark")})
        assert refused.status_code == 403 and jobs(site, "state")[0] == ("held",)
    with site.visitor(Scope.READ, Scope.SUBMIT) as member:
        page = member.get(f"/jobs/{held}")
        answer = member.post(f"/jobs/{held}/approve", data={"mark": value(page, "mark")})
        again = member.post(f"/jobs/{held}/approve", data={"mark": value(page, "mark")})

    assert (answer.status_code, again.status_code) == (303, 409)
    assert jobs(site, "state")[0] == ("queued",)
    with transaction(site.engine, "read") as connection:
        refused_again, entry, without_scope = audit_log.entries(connection, 5, subject=held)
    assert refused_again.outcome.startswith("refused: ") and entry.outcome == "done"
    assert without_scope.outcome == "refused: no scope 'submit'"
    assert (entry.action, entry.subject) == (AuditAction.APPROVED, held) and entry.actor.startswith("token ")


def claim(site: Site) -> JobClaim:
    """The job that is next, which has a run from here on, but none in the store yet."""
    [found] = Claims(site.engine, site.config, identity.current()).take(1)
    return found


def test_a_running_job_is_seen_with_its_stage_before_its_run_has_begun(site: Site) -> None:
    running = claim(site)
    stage = "leasing 3 devices: waits, 2nd in the queue (0 s)"
    Claims(site.engine, site.config, identity.current()).note_stage(running, stage)
    with site.visitor(Scope.READ) as visitor:
        pages = [visitor.get(path) for path in ("/", "/jobs", f"/jobs/{running.id}")]
        follows = visitor.get(f"/runs/{running.run_id}")
        api = visitor.get("/runs/nothing")

    for page in pages:
        assert stage in page.text and f"/jobs/{running.id}" in page.text
    assert "Running: 1" in pages[0].text
    assert (follows.status_code, follows.headers["location"]) == (303, f"/jobs/{running.id}")
    assert api.status_code == 404


def test_a_job_without_a_run_ends_in_every_list_and_its_page_has_the_verdict(site: Site) -> None:
    ended = claim(site)
    outcome = JobOutcome(Verdict.ERRORED, "cannot be fetched: the forge is away")
    Claims(site.engine, site.config, identity.current()).settle(ended, outcome)
    with site.visitor(Scope.READ) as visitor:
        pages = [visitor.get(path) for path in ("/", "/jobs", "/jobs?state=errored", f"/jobs/{ended.id}")]

    for page in pages:
        assert "cannot be fetched: the forge is away" in page.text and "badge errored" in page.text
    assert "no run" in pages[0].text


def test_a_queued_job_knows_its_place_and_where_the_forge_shows_it(site: Site) -> None:
    for number in (9, 10):
        commit = (f"pull/{number}", number, f"{number:040x}", "1" * 40, "main")
        asked = Validate(JobKind.PULL_REQUEST, *commit, False, "eve", Priority.PULL_REQUEST)
        with transaction(site.engine, "written", write=True) as connection:
            Queue(connection, site.config, site.config.repository[1]).validate(asked)
    last = jobs(site, "id")[-1][0]
    with transaction(site.engine, "written", write=True) as connection:
        connection.execute(update(OUTBOX).where(OUTBOX.c.key == f"check/{last}").values(remote_id="4711"))
    with site.visitor(Scope.READ) as visitor:
        page, now = visitor.get(f"/jobs/{last}"), visitor.get("/")

    assert "3rd in the queue" in page.text and "3rd" in now.text
    place = "https://github.com/octo-org/kernels"
    for link in (f"{place}/pull/10", f"{place}/commit/{10:040x}", f"{place}/runs/4711"):
        assert f'href="{link}"' in page.text


def test_a_page_of_a_job_ends_with_its_log(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    job = jobs(site, "id")[0][0]
    log = directories.job_log(job)
    log.parent.mkdir(parents=True)
    log.write_text("early\n" + "x" * 5000 + "\n<b>late</b>\n")
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get(f"/jobs/{job}")

    assert "&lt;b&gt;late&lt;/b&gt;" in page.text and "early" not in page.text


def test_an_empty_list_says_what_makes_a_job(tmp_path: Path) -> None:
    empty = Site(tmp_path)
    with empty.visitor(Scope.READ) as visitor:
        jobs_page, now = visitor.get("/jobs"), visitor.get("/")
    empty.engine.dispose()

    assert "/farm run" in jobs_page.text
    assert now.text.count("farm run") >= 2


def test_parallel_clicks_on_retry_make_one_job(site: Site) -> None:
    clicks = 5
    ended = claim(site)
    Claims(site.engine, site.config, identity.current()).settle(ended, JobOutcome(Verdict.ERRORED, "it broke"))
    with site.visitor(Scope.READ, Scope.SUBMIT) as member:
        mark = value(member.get(f"/jobs/{ended.id}"), "mark")
        begin = threading.Barrier(clicks)

        def click(_number: int) -> tuple[int, str]:
            with Visitor(str(member.base_url)) as tab:
                tab.cookies = member.cookies
                begin.wait(timeout=30)
                answer = tab.post(f"/jobs/{ended.id}/retry", data={"mark": mark})
                return answer.status_code, answer.headers["location"]

        with ThreadPoolExecutor(clicks) as people:
            answers = set(people.map(click, range(clicks)))
        page = member.get(f"/jobs/{ended.id}")

    [(status, place)] = answers
    made = [row[0] for row in jobs(site, "id", "retry_of") if row[1] == ended.id]
    assert status == 303 and [place] == [f"/jobs/{job}" for job in made]
    assert place in page.text and "Retry</button>" not in page.text
