"""A job of several targets on its pages, in the API and in the search: every run leads to its job."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from ci.config.target import Target
from ci.queue import job_targets
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.job_targets import PlannedTarget
from ci.store.states import JobKind, Scope
from ci.store.tables import JOB
from ci.web import run_search
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.store import run_queries
from farm.store.engine import transaction
from farm.store.run_queries import RunFilter
from tests.ci.web.site import Site

pytestmark = pytest.mark.service

FIRST, SECOND = "20260101-000000-000001", "20260101-000000-000002"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with a job of pull request 8, whose first target has failed, and whose second runs."""
    made = Site(tmp_path)
    asked = ("pull/8", 8, "8" * 40, "1" * 40, "main", False, "bob", Priority.PULL_REQUEST)
    planned = [Target(name=each, platform="a2a3sim", devices=3, repeats=3) for each in ("flash", "models")]
    made.add_runs(FIRST, SECOND)
    with transaction(made.engine, "written", write=True) as connection:
        Queue(connection, made.config, made.config.repository[1]).validate(Validate(JobKind.PULL_REQUEST, *asked))
        job_id = str(connection.execute(select(JOB.c.id)).scalar_one())
        job_targets.plan(connection, job_id, [PlannedTarget(each) for each in planned])
        job_targets.begin(connection, job_id, 0, FIRST)
        job_targets.end(connection, job_id, FIRST, Verdict.FAILED, "tolerance: <b>qr</b>")
        job_targets.begin(connection, job_id, 1, SECOND)
        connection.execute(JOB.update().values(run_id=SECOND))
    return made


def job_id(site: Site) -> str:
    with transaction(site.engine, "read") as connection:
        return str(connection.execute(select(JOB.c.id)).scalar_one())


def test_the_page_of_a_job_has_its_targets_and_their_runs(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get(f"/jobs/{job_id(site)}").text

    assert '<th scope="row">flash</th>' in page and '<th scope="row">models</th>' in page
    assert f'href="/runs/{FIRST}"' in page and f'href="/runs/{SECOND}"' in page
    assert "tolerance: &lt;b&gt;qr&lt;/b&gt;" in page and "<b>qr</b>" not in page


@pytest.mark.parametrize("run_id", [FIRST, SECOND])
def test_each_run_leads_to_its_job(site: Site, run_id: str) -> None:
    with site.visitor(Scope.READ) as visitor:
        assert f"/jobs/{job_id(site)}" in visitor.get(f"/runs/{run_id}").text
        assert visitor.get("/runs").text.count(f'href="/jobs/{job_id(site)}"') == 2


def test_a_run_is_found_by_what_its_job_is_about(site: Site) -> None:
    wanted = RunFilter(also=run_search.conditions("#8"))

    assert sorted(run.run_id for run in run_queries.page(site.engine, wanted, 9).runs) == [FIRST, SECOND]


def test_the_api_has_the_targets_of_a_job_and_of_each_in_a_list(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        head = {"Authorization": f"Bearer {site.token(Scope.READ)}"}
        one = visitor.get(f"/api/v1/jobs/{job_id(site)}", headers=head).json()
        [listed] = visitor.get("/api/v1/jobs", headers=head).json()["items"]

    assert [(each["name"], each["state"], each["verdict"], each["run_id"]) for each in one["targets"]] == [
        ("flash", "done", "failed", FIRST),
        ("models", "running", None, SECOND),
    ]
    assert listed == one
