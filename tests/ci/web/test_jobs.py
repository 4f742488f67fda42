"""The list of jobs, and the buttons on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.store import audit
from ci.store.states import AuditAction, JobKind, Scope
from ci.store.tables import JOB
from farm.model.priority import Priority
from farm.store.engine import transaction
from tests.ci.web.site import Site, value

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
        [entry] = audit.entries(connection, 5, subject=held)
    assert (entry.action, entry.subject) == (AuditAction.APPROVED, held) and entry.actor.startswith("token ")
