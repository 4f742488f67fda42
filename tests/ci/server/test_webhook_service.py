"""Deliveries over real HTTP into a real service process, with published payloads and independent signatures."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from githubkit.webhooks import sign

from ci.store.engine import open_database
from tests.ci.configuration import ENVIRONMENT, configuration
from tests.ci.published import published
from tests.waiting import came_true, until

pytestmark = pytest.mark.service

OPENED = published("pull_request", "opened")
SERVER = "tests.fakes.serve_intake"


class Service:
    """One service process."""

    def __init__(self, process: subprocess.Popen[str], url: str, directory: Path) -> None:
        self.process = process
        self.url = url
        self.directory = directory

    def post(self, headers: dict[str, str], body: str | bytes, path: str = "/webhooks/github") -> httpx.Response:
        return httpx.post(f"{self.url}{path}", content=body, headers=headers, timeout=30)

    def deliveries(self) -> list[tuple[str, str, str]]:
        with closing(sqlite3.connect(self.directory / "store.sqlite")) as connection:
            found = connection.execute("SELECT id, event, repository FROM delivery ORDER BY sequence").fetchall()
        return [tuple(row) for row in found]

    def log(self) -> str:
        return (self.directory / "log").read_text()


@contextmanager
def service(directory: Path) -> Iterator[Service]:
    configuration(directory)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, **ENVIRONMENT, "FARM_PORT": str(port), "FARM_STORE": f"sqlite:///{directory / 'store.sqlite'}"}
    command = [sys.executable, "-m", SERVER, str(directory / "farm.toml")]
    with (directory / "log").open("a") as log:
        process = subprocess.Popen(command, env=env, stderr=log, stdout=log, text=True, cwd=Path.cwd())
    try:
        _wait(process, url)
        yield Service(process, url, directory)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[str], url: str) -> None:
    def ready() -> bool:
        assert process.poll() is None, "the service ended"
        try:
            return httpx.get(f"{url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    until(ready, what="the start of the service")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("service")) as it:
        yield it


def test_a_delivery_signed_by_octokits_package_is_on_disk_when_it_is_acknowledged(running: Service) -> None:
    answer = running.post(OPENED.headers("first"), OPENED.body)

    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert ("first", "pull_request", "Codertocat/Hello-World") in running.deliveries()


def test_a_replayed_delivery_is_told_so_and_kept_once(running: Service) -> None:
    running.post(OPENED.headers("twice"), OPENED.body)
    answer = running.post(OPENED.headers("twice"), OPENED.body)

    assert (answer.status_code, answer.json()["status"]) == (200, "replayed")
    assert [row[0] for row in running.deliveries()].count("twice") == 1


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


GOOD = OPENED.headers("bad")
SHA1 = sign(ENVIRONMENT["SECRET"], OPENED.body, method="sha1")
BAD = {
    "unsigned": (401, _without(GOOD, "x-hub-signature-256"), OPENED.body),
    "signed with another secret": (401, {**GOOD, "x-hub-signature-256": "sha256=" + "0" * 64}, OPENED.body),
    "rightly signed, but with SHA-1": (401, {**GOOD, "x-hub-signature-256": SHA1}, OPENED.body),
    "changed on the way": (401, GOOD, OPENED.body.replace("opened", "closed")),
    "cut off": (401, GOOD, OPENED.body[:-1]),
    "a form": (415, {**GOOD, "content-type": "application/x-www-form-urlencoded"}, OPENED.body),
    "of no event": (400, _without(GOOD, "x-github-event"), OPENED.body),
    "without an id": (400, _without(GOOD, "x-github-delivery"), OPENED.body),
    "with a hostile id": (400, {**GOOD, "x-github-delivery": "a'; DROP TABLE delivery"}, OPENED.body),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_delivery_is_refused_in_one_line_and_not_kept(running: Service, case: str) -> None:
    status, headers, body = BAD[case]
    before, logged = running.deliveries(), len(running.log().splitlines())

    answer = running.post(headers, body)

    assert answer.status_code == status
    assert answer.json()["status"] == "refused" and "\n" not in answer.json()["detail"]
    assert running.deliveries() == before
    assert len(running.log().splitlines()) == logged + 1
    assert answer.json()["detail"] in running.log().splitlines()[-1]


def test_an_oversized_delivery_is_refused_whatever_its_length_claims(running: Service) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * (1 << 20)

    claimed = running.post(GOOD, b" " * ((25 << 20) + 1))
    assert claimed.status_code == 413
    try:
        streamed = httpx.post(f"{running.url}/webhooks/github", content=endless(), headers=GOOD, timeout=30)
        assert streamed.status_code == 413
    except httpx.TransportError:
        pass  # the service may hang up before everything is sent
    assert "bad" not in [row[0] for row in running.deliveries()]
    assert httpx.get(f"{running.url}/healthz").status_code == 200


def signed(body: str | bytes, event: str, delivery_id: str) -> dict[str, str]:
    headers = {"content-type": "application/json", "x-github-event": event, "x-github-delivery": delivery_id}
    return {**headers, "x-hub-signature-256": sign(ENVIRONMENT["SECRET"], body, method="sha256")}


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "nonsense",
        "",
        "[1]",
        '"x"',
        "[" * 200_000,
        "9" * 5000,
        '{"action": 5}',
        '{"repository": {"full_name": "é\\ud800"}}',
    ],
)
def test_what_is_signed_but_no_payload_is_refused(running: Service, body: str) -> None:
    answer = running.post(signed(body, "push", "odd"), body)

    assert answer.status_code == 400
    assert "odd" not in [row[0] for row in running.deliveries()]


def test_other_encodings_than_utf8_are_refused(running: Service) -> None:
    body = OPENED.body.encode("utf-16")

    assert running.post(signed(body, "push", "odd"), body).status_code == 400


def test_an_event_nobody_asked_for_is_acknowledged_and_not_kept(running: Service) -> None:
    star = published("star", "created")
    answer = running.post(star.headers("star"), star.body)

    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert "star" not in [row[0] for row in running.deliveries()]


def test_a_repository_nobody_configured_is_named(running: Service) -> None:
    body = json.dumps({"action": "opened", "repository": {"full_name": "other/repo"}})
    answer = running.post(signed(body, "pull_request", "other"), body)

    assert answer.status_code == 404
    assert "'other/repo' has no [[repository]]" in answer.json()["detail"]


def test_a_forge_nobody_configured_is_not_there(running: Service) -> None:
    assert running.post(GOOD, OPENED.body, "/webhooks/gitlab").status_code == 404


def test_a_hostile_path_gets_one_line_in_the_log(running: Service) -> None:
    logged = len(running.log().splitlines())

    assert running.post(GOOD, OPENED.body, "/webhooks/x%0AERROR%20forged").status_code == 404
    assert len(running.log().splitlines()) == logged + 1


def test_a_body_that_breaks_off_disturbs_nothing(running: Service) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in OPENED.headers("broken").items())
        connection.sendall(
            f"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 9999\r\n\r\n{{".encode()
        )

    assert running.post(OPENED.headers("after"), OPENED.body).status_code == 202
    assert "broken" not in [row[0] for row in running.deliveries()]
    assert "Traceback" not in running.log()


def test_no_secret_is_in_the_log(running: Service) -> None:
    running.post(signed("{", "push", "log"), "{")

    assert not [secret for secret in ENVIRONMENT.values() if secret in running.log()]


def test_nothing_acknowledged_is_lost_to_a_kill(tmp_path: Path) -> None:
    acknowledged = []
    with service(tmp_path) as it:
        for number in range(20):
            assert it.post(OPENED.headers(f"d{number}"), OPENED.body).status_code == 202
            acknowledged.append(f"d{number}")
        os.kill(it.process.pid, signal.SIGKILL)
        it.process.wait(10)

        assert [row[0] for row in it.deliveries()] == acknowledged


def test_a_full_disk_is_said_so_and_the_delivery_is_taken_once_there_is_room(running: Service) -> None:
    big = json.dumps({"repository": {"full_name": "octo-org/kernels"}, "filling": "x" * (3 << 20)})
    # SQLite's own limit stands in for the disk's: the error is the same SQLITE_FULL.
    full = running.directory / "full"
    with closing(sqlite3.connect(full, timeout=5)) as marker:
        marker.execute("CREATE TABLE full (x)")
    try:
        answer = running.post(signed(big, "ping", "big"), big)
    finally:
        full.unlink()

    assert answer.status_code == 507
    assert "full" in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert "Traceback" not in running.log()
    assert running.post(signed(big, "ping", "big"), big).status_code == 202


def test_a_database_that_others_hold_is_answered_in_time(running: Service) -> None:
    with closing(sqlite3.connect(running.directory / "store.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = running.post(OPENED.headers("busy"), OPENED.body)
        assert answer.status_code == 503
        assert answer.elapsed.total_seconds() < 10  # GitHub hangs up then
        assert httpx.get(f"{running.url}/healthz", timeout=2).status_code == 200
        other.execute("ROLLBACK")

        came_true(lambda: ("busy", "pull_request", "Codertocat/Hello-World") in running.deliveries())
        assert running.post(OPENED.headers("busy"), OPENED.body).status_code == 200  # it was kept after all


def test_a_database_of_a_newer_farm_stops_the_start_in_one_line(tmp_path: Path) -> None:
    configuration(tmp_path)
    open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print).dispose()
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as connection, connection:
        connection.execute("UPDATE ci_version SET version_num = '9999'")

    command = [sys.executable, "-m", SERVER, str(tmp_path / "farm.toml")]
    env = {**os.environ, **ENVIRONMENT, "FARM_STORE": f"sqlite:///{tmp_path / 'store.sqlite'}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "revision 9999" in line and "newer farm" in line
