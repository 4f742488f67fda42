"""The API over real HTTP: who may do what, lists in pages, jobs, devices, metrics; errors in one line."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select, update

from ci.api import tokens
from ci.store.states import JobState, Scope
from ci.store.tables import JOB, OUTBOX
from farm.model.run import Verdict
from farm.process import identity
from farm.store import lease_book
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.timestamps import now, utc_now
from tests.ci.api_client import Api
from tests.farm import samples

pytestmark = pytest.mark.service

SHA = "a" * 40
NOBODY = "0" * 32
SUBMISSION = {"repository": "octo-org/kernels", "commit": SHA}
READING = [
    "/api/v1/runs",
    "/api/v1/runs/r1",
    "/api/v1/runs/r1/logs",
    "/api/v1/runs/r1/logs/trial.log",
    "/api/v1/runs/r1/artifacts",
    "/api/v1/runs/r1/artifacts/report.json",
    "/api/v1/jobs",
    "/api/v1/devices",
    "/api/v1/openapi.json",
    "/metrics",
]
SUBMITTING = ["/api/v1/jobs", f"/api/v1/jobs/{NOBODY}/cancel", f"/api/v1/jobs/{NOBODY}/retry"]
ADMINISTERING = ["/api/v1/deliveries", "/api/v1/deliveries/github/d1"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    yield api
    api.engine.dispose()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service that nothing happens to, for tests of what is refused."""
    directory = tmp_path_factory.mktemp("quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_HOME", str(directory / "home"))
        api = Api(directory)
    with api.client(*Scope) as client:
        yield client
    api.engine.dispose()


def problem(answer: httpx.Response) -> str:
    """The detail of a refusal, which is a problem of one line."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code and told["title"]
    assert "\n" not in told["detail"] and told["detail"]
    return str(told["detail"])


def test_without_a_token_nothing_is_told_or_done(api: Api) -> None:
    api.add_runs("r1")
    with api.client() as client:
        answers = [client.get(path) for path in READING + ADMINISTERING]
        answers += [client.post(path, json=SUBMISSION) for path in SUBMITTING]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert all("token" in problem(answer) for answer in answers)


def test_public_reading_opens_reading_and_nothing_else(tmp_path: Path) -> None:
    api = Api(tmp_path, public_read=True)
    api.add_runs("r1")
    with api.client() as client:
        assert {client.get(path).status_code for path in READING} == {200}
        assert {client.get(path).status_code for path in ADMINISTERING} == {401}
        assert {client.post(path, json=SUBMISSION).status_code for path in SUBMITTING} == {401}


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_opens_its_own_paths_and_no_others(api: Api, scope: Scope) -> None:
    api.add_runs("r1")
    api.add_delivery("d1")
    with api.client(scope) as client:
        got = {
            Scope.READ: {client.get(path).status_code for path in READING},
            Scope.ADMIN: {client.get(path).status_code for path in ADMINISTERING},
            Scope.SUBMIT: {client.post(path, json=SUBMISSION).status_code for path in SUBMITTING},
        }

    opened = {Scope.READ: {200}, Scope.ADMIN: {200}, Scope.SUBMIT: {201, 404}}
    assert got == {each: opened[each] if each is scope else {403} for each in Scope}


def test_a_token_ends_with_its_revocation_even_where_reading_is_public(tmp_path: Path) -> None:
    api = Api(tmp_path, public_read=True)
    with api.client(Scope.READ) as client:
        assert client.get("/api/v1/runs").status_code == 200
        tokens.revoke(api.engine, "t0")
        refused = client.get("/api/v1/runs")

    assert refused.status_code == 401
    assert "revoked" in problem(refused)


def test_pages_show_every_run_once_though_runs_are_added_meanwhile(api: Api) -> None:
    names = [f"r{number}" for number in range(7)]
    api.add_runs(*names)
    with api.client(Scope.READ) as client:
        seen, after = [], None
        while True:
            page = client.get("/api/v1/runs", params={"limit": 3, **({"after": after} if after else {})}).json()
            seen += [run["run_id"] for run in page["items"]]
            if not after:
                api.add_runs(*(f"r0{number}" for number in range(9)))  # as old as the oldest, and after it by name
            after = page["next"]
            if after is None:
                break

    assert [name for name in seen if name in names] == names[::-1]
    assert len(seen) == len(set(seen))


def test_runs_are_filtered(api: Api) -> None:
    api.add_runs("r0", "r1", "r2", "r3", verdicts=[Verdict.PASSED, Verdict.FAILED, None, Verdict.PASSED])
    with api.client(Scope.READ) as client:

        def found(**filters: str) -> list[str]:
            return [run["run_id"] for run in client.get("/api/v1/runs", params=filters).json()["items"]]

        assert found(verdict="passed") == ["r3", "r0"]
        assert found(verdict="failed") == ["r1"]
        assert found(verdict="running") == ["r2"]
        assert found(kernel="another") == []
        assert found(verdict="passed", kernel="qkv_proj_rope", platform="a2a3sim") == ["r3", "r0"]


def test_a_run_is_its_record_without_the_servers_own_paths(api: Api) -> None:
    api.add_runs("r1", "r10")
    with api.client(Scope.READ) as client:
        told = client.get("/api/v1/runs/r1").json()
        assert client.get("/api/v1/runs/r").status_code == 404  # which begins both

    assert (told["run_id"], told["verdict"], told["directory"]) == ("r1", "passed", "")
    assert told["trials"]
    assert str(api.directory) not in json.dumps(told)


def _cursor(content: str) -> str:
    return base64.urlsafe_b64encode(content.encode()).decode()


CONTENTS = ["5", "[]", '["a"]', '["a","\\u0000"]', "[-1]", "[true]", f"[{1 << 70}]", '["\\ud800","a"]', "[" * 300]
BAD_CURSORS = ["x", "é", "====", *map(_cursor, CONTENTS)]


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_a_cursor_from_elsewhere_is_refused(quiet: httpx.Client, cursor: str) -> None:
    for path in ("runs", "jobs", "deliveries"):
        refused = quiet.get(f"/api/v1/{path}", params={"after": cursor})
        assert refused.status_code == 400
        assert "cursor" in problem(refused)


def test_a_submitted_commit_is_queued_and_the_forge_is_told_of_it(api: Api) -> None:
    with api.client(Scope.READ, Scope.SUBMIT) as client:
        made = client.post("/api/v1/jobs", json={**SUBMISSION, "devices": 2, "cases": ["tiny"]})
        job = client.get(made.headers["location"]).json()
        listed = client.get("/api/v1/jobs", params={"state": "queued", "repository": "octo-org/kernels"}).json()

    assert made.status_code == 201 and made.json() == job
    assert (job["state"], job["head_sha"], job["author"], job["run_id"]) == ("queued", SHA, "t0", "")
    assert (job["options"]["devices"], job["options"]["cases"]) == (2, ["tiny"])
    assert listed["items"] == [job]
    with api.engine.connect() as connection:
        [told] = connection.execute(select(OUTBOX.c.payload)).scalars()
    assert json.loads(told)["details_url"] == f"https://farm.example.org/jobs/{job['id']}"


def test_jobs_are_cancelled_and_retried_only_where_that_means_something(api: Api) -> None:
    with api.client(Scope.READ, Scope.SUBMIT) as client:
        first = client.post("/api/v1/jobs", json=SUBMISSION).json()["id"]
        early = client.post(f"/api/v1/jobs/{first}/retry")
        cancelled = client.post(f"/api/v1/jobs/{first}/cancel")
        again = client.post(f"/api/v1/jobs/{first}/cancel")
        retried = client.post(f"/api/v1/jobs/{first}/retry")
        states = {job["id"]: job["state"] for job in client.get("/api/v1/jobs").json()["items"]}

    assert early.status_code == 409 and "queued" in problem(early)
    assert cancelled.json()["state"] == "cancelled" and cancelled.json()["reason"] == "by token t0"
    assert again.status_code == 409 and "cancelled already" in problem(again)
    assert states == {first: "cancelled", retried.json()["id"]: "queued"}
    assert retried.json()["reason"] == "retried by token t0"


def test_a_running_job_is_asked_to_stop(api: Api) -> None:
    with api.client(Scope.SUBMIT) as client:
        job = client.post("/api/v1/jobs", json=SUBMISSION).json()["id"]
        with api.engine.begin() as connection:
            connection.execute(update(JOB).values(state=JobState.RUNNING.value))
        assert client.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelling"
        assert client.post(f"/api/v1/jobs/{job}/retry").status_code == 409


def test_retrying_lets_no_unapproved_commit_of_a_fork_run(api: Api) -> None:
    with api.client(Scope.SUBMIT) as client:
        job = client.post("/api/v1/jobs", json=SUBMISSION).json()["id"]
        with api.engine.begin() as connection:
            connection.execute(update(JOB).values(state="cancelled", from_fork=True, approved_by=""))
        assert client.post(f"/api/v1/jobs/{job}/retry").json()["state"] == "held"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"repository": "somebody/else"}, "no [[repository]]"),
        ({"repository": "no slash"}, "repository"),
        ({"commit": "main"}, "commit"),
        ({"commit": SHA[:12]}, "commit"),
        ({"devices": 0}, "devices"),
        ({"cases": ["a\u0000"]}, "cases"),
        ({"priority": "merge-queue"}, "priority"),
    ],
)
def test_a_wrong_submission_is_told_and_queues_nothing(
    quiet: httpx.Client, change: dict[str, object], said: str
) -> None:
    refused = quiet.post("/api/v1/jobs", json={**SUBMISSION, **change})

    assert quiet.get("/api/v1/jobs").json()["items"] == []
    assert refused.status_code == 422
    assert said in problem(refused)


@pytest.mark.parametrize("body", ["", "{", "[" * 20_000, "null", "\x00", '"\\ud800"'])
def test_a_body_that_is_no_submission_is_refused(quiet: httpx.Client, body: str) -> None:
    refused = quiet.post("/api/v1/jobs", content=body, headers={"content-type": "application/json"})

    assert refused.status_code in (400, 422)
    problem(refused)


def test_an_endless_body_is_given_up_before_anybody_is_asked_for_a_token(api: Api) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * 10_000

    with api.client() as client:
        try:
            refused = client.post("/api/v1/jobs", content=endless(), headers={"content-type": "application/json"})
            assert refused.status_code == 413
        except httpx.TransportError:
            pass  # the service may hang up before everything is sent
        assert client.get("/healthz").status_code == 200


def test_deliveries_are_listed_without_their_payload(api: Api) -> None:
    for number in range(3):
        api.add_delivery(f"d{number}")
    with api.client(Scope.ADMIN) as client:
        first = client.get("/api/v1/deliveries", params={"limit": 2, "state": "done"}).json()
        rest = client.get("/api/v1/deliveries", params={"limit": 2, "after": first["next"]}).json()
        one = client.get("/api/v1/deliveries/github/d1").json()

    assert [each["id"] for each in first["items"] + rest["items"]] == ["d2", "d1", "d0"]
    assert rest["next"] is None
    assert "body" not in first["items"][0] and one["body"] == '{"private": 1}'


def test_devices_have_the_health_that_the_store_knows(api: Api) -> None:
    api.add_runs("r1")
    Store(api.engine).see("a2a3", [{"id": "n7/0", "node": "n7", "soc": "Ascend910B1", "card": "0"}])
    with api.client(Scope.READ) as client:
        every = client.get("/api/v1/devices").json()
        one = client.get("/api/v1/devices", params={"platform": "a2a3"}).json()

    assert len(every) > 1 and {device["platform"] for device in every} == {"a2a3", "a2a3sim"}
    assert [(device["id"], device["state"], device["soc"]) for device in one] == [("n7/0", "healthy", "Ascend910B1")]
    assert {tuple(device["last_runs"]) for device in every if device["platform"] == "a2a3sim"} == {("r1",)}


def test_a_device_names_the_run_or_the_person_that_has_it(api: Api) -> None:
    api.add_runs("ended", "under-way", verdicts=[Verdict.PASSED, None])
    until = (utc_now() + timedelta(hours=1)).isoformat(timespec="milliseconds")
    lent = PersonLease("l1", "a2a3", ("n7/0",), "ann@n7", "bash", now(), until, identity.current())
    store = Store(api.engine)
    store.see("a2a3", [{"id": f"n7/{index}", "node": "n7", "soc": "", "card": ""} for index in range(2)])
    lease_book.note(api.engine, lent)
    with api.client(Scope.READ) as client:
        found = {device["id"]: device for device in client.get("/api/v1/devices").json()}
        lease_book.forget(api.engine, "l1")
        store.finish(samples.run(run_id="under-way"))
        after = client.get("/api/v1/devices").json()

    lease = {"who": "ann@n7", "program": "bash", "since": lent.started_at, "until": until}
    assert [(found[device]["run"], found[device]["lease"]) for device in ("n7/0", "n7/1")] == [("", lease), ("", None)]
    held = {device.id for device in samples.run().devices}
    assert {found[device]["run"] for device in held} == {"under-way"}
    assert {(device["run"], device["lease"]) for device in after} == {("", None)}


def test_metrics_count_what_is_in_the_store_and_how_long_webhooks_took(api: Api) -> None:
    api.add_runs("r0", "r1", "r2", verdicts=[Verdict.PASSED, Verdict.ERRORED, None])
    with api.client(Scope.READ, Scope.SUBMIT) as client:
        client.post("/api/v1/jobs", json=SUBMISSION)
        with api.engine.begin() as connection:
            connection.execute(update(JOB).values(created_at="2026-01-01T00:00:00.000+00:00"))
        client.post("/webhooks/github", content=b"{}")
        text = client.get("/metrics").text

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["farm_runs_total", "passed"] == 1 and found["farm_runs_total", "failed"] == 0
    assert found["farm_runs_total", "errored"] == 1 and found["farm_runs_running",] == 1
    assert found["farm_jobs", "queued"] == 1 and found["farm_jobs", "held"] == 0
    assert found["farm_queue_age_seconds",] > 86_400
    assert found["farm_devices", "a2a3sim", "healthy"] >= 1
    assert found["farm_webhook_seconds_count", "401"] == 1


def test_a_store_that_does_not_answer_is_no_fault_of_the_request(api: Api) -> None:
    with api.client(Scope.READ) as client:
        with api.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE job RENAME TO gone")
        refused = client.get("/api/v1/jobs")

    assert refused.status_code == 503
    assert "no such table" in problem(refused)


def test_paths_that_are_none_are_problems_too(api: Api) -> None:
    with api.client(Scope.READ) as client:
        assert problem(client.get("/api/v1/nothing"))
        assert client.delete("/api/v1/runs").status_code == 405
        assert problem(client.delete("/api/v1/runs"))
