"""Logs as pages: what there is, what is added, and the whole of it as plain text."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from ci.config import directories
from ci.store.states import JobState, Scope
from ci.store.tables import JOB
from ci.web import logs
from tests.ci.web.site import Site
from tests.ci.web.test_run_search import job

pytestmark = pytest.mark.service

JOB_ID = f"{1:032x}"
HOSTILE = "µs <script>window.owned = 1</script>\n"


@pytest.fixture
def running(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that runs; where its log will be."""
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    with site.engine.begin() as connection:
        connection.execute(
            insert(JOB).values(job(1, subject="pull/<b>7", kind="pull-request", number=7, base_ref="", author="ada"))
        )
    path = directories.job_log(JOB_ID)
    path.parent.mkdir(parents=True)
    return path


def end(site: Site) -> None:
    with site.engine.begin() as connection:
        connection.execute(update(JOB).values(state=JobState.DONE.value))


def test_a_job_has_its_log_as_a_page_that_follows_and_as_plain_text(site: Site, running: Path) -> None:
    with site.visitor(Scope.READ) as visitor:
        early = visitor.get(f"/jobs/{JOB_ID}/log")
        nothing = visitor.get(f"/jobs/{JOB_ID}/log/tail", params={"from": 0})
        running.write_text(f"first\n{HOSTILE}half a li")
        page = visitor.get(f"/jobs/{JOB_ID}/log")
        whole_lines = visitor.get(f"/jobs/{JOB_ID}/log/tail", params={"from": 6})
        raw = visitor.get(f"/jobs/{JOB_ID}/log/raw")
        job_page = visitor.get(f"/jobs/{JOB_ID}")

    assert f'data-log="/jobs/{JOB_ID}/log/tail" data-from="0"' in early.text
    assert (nothing.text, nothing.headers["x-farm-next"], nothing.headers["x-farm-over"]) == ("", "0", "0")
    assert (
        html.escape(HOSTILE.strip()) in page.text and "<script>window" not in page.text and "pull/<b>" not in page.text
    )
    assert whole_lines.text == HOSTILE and whole_lines.headers["x-farm-next"] == str(6 + len(HOSTILE.encode()))
    assert raw.text == f"first\n{HOSTILE}half a li" and raw.headers["content-type"].startswith("text/plain")
    assert "sandbox" in raw.headers["content-security-policy"] and raw.headers["x-content-type-options"] == "nosniff"
    assert f'href="/jobs/{JOB_ID}/log"' in job_page.text


def test_the_log_of_a_job_that_is_over_ends(site: Site, running: Path) -> None:
    end(site)
    with site.visitor(Scope.READ) as visitor:
        empty = visitor.get(f"/jobs/{JOB_ID}/log").text
        running.write_text("first\nhalf a li")
        page = visitor.get(f"/jobs/{JOB_ID}/log").text
        tail = visitor.get(f"/jobs/{JOB_ID}/log/tail", params={"from": 6})

    assert "Nothing was printed on this machine" in empty
    assert "half a li" in page and "data-log" not in page
    assert (tail.text, tail.headers["x-farm-over"]) == ("half a li", "1")


def test_of_a_long_log_the_end_is_shown(site: Site, running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PIECE_BYTES", 100)
    running.write_text("".join(f"line {number}\n" for number in range(100)))
    with site.visitor(Scope.READ) as visitor:
        page = visitor.get(f"/jobs/{JOB_ID}/log").text
        tail = visitor.get(f"/jobs/{JOB_ID}/log/tail", params={"from": 0})

    assert "line 99" in page and "line 2\n" not in page and "The last 100 B of 790 B" in page
    assert tail.text.endswith("\n") and int(tail.headers["x-farm-next"]) == len(tail.text) <= 100


@pytest.mark.parametrize("path", ["log", "log/tail?from=0", "log/raw"])
def test_logs_of_jobs_are_for_those_who_may_read(site: Site, running: Path, path: str) -> None:
    with site.visitor() as visitor:
        assert visitor.get(f"/jobs/{JOB_ID}/{path}").status_code == 303
    with site.visitor(Scope.READ) as visitor:
        assert visitor.get(f"/jobs/{2:032x}/{path}").status_code == 404
        assert visitor.get(f"/jobs/..%2f..%2fetc/{path}").status_code in (404, 422)
        assert visitor.get(f"/jobs/{JOB_ID}/log/tail", params={"from": -1}).status_code == 422
