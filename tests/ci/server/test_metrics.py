"""What Prometheus gets: each kind of metric, from the store and from the process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ci.forge.traffic import ForgeFailure, ForgeTraffic
from ci.queue.claims import Claims
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.outcome import JobOutcome
from ci.server.metrics import Metrics
from ci.server.request_timer import OTHER, RequestTimer
from ci.store.engine import open_database
from ci.store.states import JobKind, Scope
from ci.store.tables import JOB
from farm.model.audit import Actor
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.process import identity
from farm.store.engine import transaction
from farm.store.run_store import Store
from tests.ci.api_client import Api
from tests.ci.configuration import configuration
from tests.farm import samples

Found = dict[tuple[str, ...], float]


def found(text: bytes) -> Found:
    """(name, values of the labels in the order of their names) → value of every sample."""
    families = text_string_to_metric_families(text.decode())
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


class Jobs:
    """A queue of one repository."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.config = configuration(directory)
        self.claims = Claims(engine, self.config, identity.current())

    def queue(self, number: int, kind: JobKind = JobKind.PULL_REQUEST) -> None:
        """A commit of pull request `number`, or of the default branch."""
        repository = self.config.repository[1]
        commit = (f"pull/{number}", number, f"{number:040x}", "1" * 40, "main")
        asked = Validate(kind, *commit, False, "ann", Priority.PULL_REQUEST)
        with transaction(self.engine, "written", write=True) as connection:
            Queue(connection, self.config, repository).validate(asked)

    def approve(self) -> None:
        """Whatever is held."""
        with transaction(self.engine, "written", write=True) as connection:
            queue = Queue(connection, self.config, self.config.repository[1])
            for row in connection.execute(JOB.select()).all():
                queue.approve_job(str(row.id), Actor("ann@github", "a test"))

    def change(self, **values: Any) -> None:
        """Have all jobs say so."""
        with self.engine.begin() as connection:
            connection.execute(update(JOB).values(**values))


@pytest.fixture
def jobs(url: str, tmp_path: Path) -> Iterator[Jobs]:
    engine = open_database(url, print)
    yield Jobs(engine, tmp_path)
    engine.dispose()


def test_jobs_are_counted_by_how_long_they_waited_and_ran(jobs: Jobs) -> None:
    jobs.queue(7)
    [claim] = jobs.claims.take(1)
    jobs.claims.settle(claim, JobOutcome(Verdict.PASSED, "all is well"))
    times = {"created_at": "00:00.000", "started_at": "00:40.000", "finished_at": "02:10.500"}
    jobs.change(**{name: f"2026-01-01T00:{at}+00:00" for name, at in times.items()})

    counted = found(Metrics(jobs.engine).text())

    waits = [counted["farm_job_wait_seconds_bucket", bound, "pull-request"] for bound in ("30.0", "60.0", "+Inf")]
    assert waits == [0, 1, 1]
    assert counted["farm_job_wait_seconds_sum", "pull-request"] == pytest.approx(40, abs=0.01)
    assert counted["farm_job_seconds_sum", "passed"] == pytest.approx(90.5, abs=0.01)
    assert counted["farm_job_seconds_count", "passed"] == 1


def test_no_counter_ever_goes_back(jobs: Jobs) -> None:
    before: Found = {}

    def look() -> None:
        nonlocal before
        now = found(Metrics(jobs.engine).text())
        for name, value in before.items():
            assert not name[0].startswith("farm_") or now[name] >= value, name
        before = {
            name: value for name, value in now.items() if name[0].endswith(("_total", "_count", "_bucket", "_sum"))
        }

    jobs.queue(7)
    look()
    [claim] = jobs.claims.take(1)
    look()
    jobs.claims.hold(claim, "changes rules", "It changes rules.")
    look()
    jobs.approve()
    look()
    [claim] = jobs.claims.take(1)
    look()
    jobs.claims.put_back(claim, "the service was ended")
    look()
    [claim] = jobs.claims.take(1)
    jobs.claims.settle(claim, JobOutcome(Verdict.ERRORED, "a device broke"))
    look()

    assert before["farm_job_verdicts_total", "errored"] == 1 and before["farm_job_retries_total",] == 2
    assert ("farm_job_wait_seconds_count", "pull-request") not in before  # it waited for a person


def test_a_kernel_is_held_beside_its_budget_by_its_newest_run_of_the_default_branch(jobs: Jobs) -> None:
    store = Store(jobs.engine)
    for number, kind, verdict in (
        (1, JobKind.BASELINE, Verdict.PASSED),
        (2, JobKind.BASELINE, Verdict.FAILED),
        (3, JobKind.BASELINE, Verdict.ERRORED),
        (4, JobKind.PULL_REQUEST, Verdict.PASSED),
    ):
        jobs.queue(number, kind)
        [claim] = jobs.claims.take(1)
        record = samples.run(run_id=claim.run_id, started_at=f"2026-01-01T00:00:0{number}.000+00:00", verdict=None)
        median = record.median_us[samples.CASE].model_copy(update={"overall": 1000.0 * number})
        record = record.model_copy(update={"median_us": {samples.CASE: median}})
        store.begin(record)
        store.finish(record.model_copy(update={"verdict": verdict}))

    counted = found(Metrics(jobs.engine).text())

    case, kernel, platform = samples.CASE, record.kernel, record.platform
    assert counted["farm_kernel_median_seconds", case, kernel, platform] == pytest.approx(0.002)
    ceiling_us = record.budget[case].ceiling_us
    budget = counted["farm_kernel_budget_seconds", case, kernel, "ceiling", platform]
    assert ceiling_us and budget == pytest.approx(ceiling_us / 1e6)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)
    yield made
    made.dispose()


class Talkative:
    """A forge that has been talked to."""

    def __init__(self) -> None:
        self.traffic = ForgeTraffic()


def test_forges_are_counted_by_what_they_answer(engine: Engine) -> None:
    forge: Any = Talkative()
    for status, headers in (
        (200, {"x-ratelimit-remaining": "4999", "x-ratelimit-limit": "5000"}),
        (404, {"x-ratelimit-remaining": "4998"}),
        (403, {"x-ratelimit-remaining": "0"}),
        (403, {}),
        (429, {}),
        (502, {"x-ratelimit-remaining": "many"}),
    ):
        forge.traffic.answered(status, headers)
    forge.traffic.unanswered()

    counted = found(Metrics(engine, {"github": forge}).text())

    assert counted["farm_forge_requests_total", "github", "403"] == 2
    assert counted["farm_forge_requests_total", "github", "0"] == 1
    kinds = {kind.value: counted["farm_forge_errors_total", "github", kind.value] for kind in ForgeFailure}
    assert kinds == {"no-answer": 1, "rate-limited": 2, "refused": 2, "unavailable": 1}
    assert counted["farm_forge_rate_limit_remaining", "github"] == 0
    assert counted["farm_forge_rate_limit", "github"] == 5000


def test_a_forge_without_a_rate_limit_shows_none(engine: Engine) -> None:
    forge: Any = Talkative()
    forge.traffic.answered(201, {})

    counted = found(Metrics(engine, {"gitea": forge}).text())

    assert counted["farm_forge_requests_total", "gitea", "201"] == 1
    assert ("farm_forge_rate_limit_remaining", "gitea") not in counted


@pytest.mark.service
def test_requests_are_counted_by_the_pattern_of_their_route(tmp_path: Path) -> None:
    api = Api(tmp_path)
    with api.client(Scope.READ) as client:
        for path in (
            "/jobs/" + "0" * 32,
            "/api/v1/jobs/" + "0" * 32,
            "/api/v1/runs",
            "/runs",
            "/nothing",
            "/other/thing",
        ):
            client.get(path)
        client.request("FOO", "/healthz")
        counted = found(client.get("/metrics").content)
    api.engine.dispose()

    routes = {name[1:]: value for name, value in counted.items() if name[0] == "farm_http_request_seconds_count"}
    assert routes["GET", "/jobs/{job_id}", "303"] == 1  # to the page of the sign-in
    assert routes["GET", "/api/v1/jobs/{job_id}", "404"] == 1
    assert routes["GET", "/api/v1/runs", "200"] == 1 and routes["GET", "/runs", "303"] == 1
    assert routes["GET", OTHER, "404"] == 2 and routes[OTHER, "/healthz", "405"] == 1
    assert counted["process_resident_memory_bytes",] > 0
    assert [name for name in counted if name[0] == "farm_build_info"]


def test_an_answer_that_breaks_is_counted_as_an_error_of_the_service() -> None:
    seen: list[tuple[str, str, int]] = []

    async def broken(_request: Request) -> Response:
        raise OSError("it broke")

    app = RequestTimer(
        Starlette(routes=[Route("/things/{id}", broken)]),
        lambda method, route, status, seconds: seen.append((method, route, status)),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://farm") as client:
            await client.get("/things/7")

    asyncio.run(ask())

    assert seen == [("GET", "/things/{id}", 500)]
