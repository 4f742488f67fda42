"""The benchmarks of the service, each sized down to a second: every arm runs, and what was sent is there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from benchmarks import large_check, pages, repositories, streams, webhook
from benchmarks.pages_store import seed
from benchmarks.pull_requests import configuration, open_all
from benchmarks.serving import STORE, environment, plain
from ci.api import tokens
from ci.config import settings
from ci.store.engine import open_database
from ci.store.states import Scope


@pytest.mark.service
def test_a_webhook_delivery_is_kept_and_timed_beside_two_plain_servers() -> None:
    echo, inserted, service = webhook.measure(rate=20, seconds=1, size=2000)

    assert [arm.name for arm in (echo, inserted, service)] == ["plain echo", "plain insert", "service"]
    assert (echo.kept, inserted.kept, service.kept) == (0, 20, 20)
    assert all(0 < arm.median_ms <= arm.late_ms for arm in (echo, inserted, service))


@pytest.mark.service
def test_streams_of_both_servers_have_a_first_event_and_see_a_change() -> None:
    found = streams.measure(streams=3, idle_s=0.1, trials=40)

    assert [(each.server, each.streams) for each in found] == [("plain", 3), ("service", 3)]
    assert all(0 < each.first_median_ms <= each.first_worst_ms for each in found)
    assert all(0 < each.change_median_ms <= each.change_worst_ms for each in found)


@pytest.mark.service
def test_repositories_queue_claim_and_show_every_pull_request() -> None:
    found = repositories.measure(repositories=2, pulls=3, times=2)

    assert {name: len(waits) for name, waits in found.items()} == {
        "plain insert": 6,
        "a pull request is opened": 6,
        "a commit is pushed to it": 6,
        "Now": 2,
        "Runs": 2,
        "API, jobs": 2,
        "a job is claimed": 6,
    }


@pytest.mark.service
def test_every_page_has_a_row_beside_the_plain_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = open_database(f"sqlite:///{tmp_path / STORE}", print)
    ids = seed(engine, 200, tmp_path / "runs", newest=3)
    token = tokens.create(engine, "benchmark", list(Scope))
    engine.dispose()

    late = pages.measure(tmp_path, token, ids, times=1)

    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == len(late) + 1 == 17
    assert rows[0].startswith("| a plain answer |")
    assert all(row.count("|") == 7 for row in rows)


@pytest.mark.service
def test_the_plain_server_answers_as_large_as_asked(tmp_path: Path) -> None:
    with plain(tmp_path) as served, httpx.Client(base_url=served.url) as client:
        assert client.get("/bytes?1234").content == b"x" * 1234
        assert client.post("/echo", content=b"x").status_code == 202


def test_another_push_leaves_one_open_job_a_pull_request(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text(configuration(2))
    config = settings.load(tmp_path / "farm.toml", environment(tmp_path))
    engine = open_database(f"sqlite:///{tmp_path / STORE}", print)

    assert [repository.name for repository in config.repository] == ["octo-org/kernels-0", "octo-org/kernels-1"]
    assert len(open_all(engine, config, 2)) == len(open_all(engine, config, 2, push=1)) == 4
    with engine.connect() as connection:
        states = connection.exec_driver_sql("SELECT state, count(*) FROM job GROUP BY state").fetchall()
    assert {row[0]: row[1] for row in states} == {"cancelled": 4, "queued": 4}


def test_a_check_of_many_targets_has_every_report_beside_plain_json() -> None:
    found = large_check.measure(targets=60, times=1)

    assert [made.what for made in found] == [
        "json.dumps of the record", "report.json", "junit.xml", "report.md", "report.html",
    ]  # fmt: skip
    assert all(made.seconds > 0 and made.kilobytes > 1 for made in found)
    assert [trial.status.value for trial in large_check.record(60).trials].count("failed") == 2
