"""What strangers can do to the service by HTTP alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ci.configuration import configuration
from tests.ci.farm_serve import FarmServe

pytestmark = pytest.mark.service

SETTINGS = "[server]\nheader_s = 0.5\nbody_s = 0.5\nmax_connections_per_peer = 4\nproxies = []"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarmServe]:
    directory = tmp_path_factory.mktemp("service")
    configuration(directory, "http://127.0.0.1:9")
    text = (directory / "farm.toml").read_text().replace("[server]", SETTINGS)
    (directory / "farm.toml").write_text(text)
    with FarmServe(directory) as running:
        yield running


def answer_to(service: FarmServe, sent: bytes) -> bytes:
    """Everything that comes until the service hangs up."""
    with socket.create_connection(service.address, timeout=60) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half"])
def test_a_header_that_does_not_end_is_given_up(service: FarmServe, sent: bytes) -> None:
    assert answer_to(service, sent).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", [b"/webhooks/github", b"/api/v1/jobs"])
def test_a_body_that_does_not_end_is_given_up(service: FarmServe, path: bytes) -> None:
    signed = b"x-hub-signature-256: sha256=" + b"0" * 64 + b"\r\nx-github-event: ping\r\nx-github-delivery: 1\r\n"
    header = b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-type: application/json\r\ncontent-length: 9\r\n\r\n{" % (
        path,
        signed,
    )

    answer = answer_to(service, header)

    assert answer.startswith(b"HTTP/1.1 408 ") and answer.count(b"HTTP/1.1 ") == 1


REFUSED_EARLY = {  # requests that are refused for their header alone
    b"/sign-in": (b"content-type: application/json\r\n", b"403"),
    b"/webhooks/github": (b"content-type: application/json\r\n", b"401"),
    b"/webhooks/nowhere": (b"", b"404"),
    b"/healthz": (b"", b"405"),
}
BODIES = {
    "none of it": b"content-length: 9\r\n\r\n",
    "half of it": b"content-length: 9\r\n\r\n{",
    "a chunk without an end": b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    "none before it is asked for": b"content-length: 9\r\nexpect: 100-continue\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", REFUSED_EARLY)
def test_a_request_refused_before_its_body_has_one_answer_and_ends_the_connection(
    service: FarmServe, path: bytes, body: str
) -> None:
    headers, status = REFUSED_EARLY[path]

    answer = answer_to(service, b"POST %s HTTP/1.1\r\nhost: x\r\n%s%s" % (path, headers, BODIES[body]))

    assert answer.startswith(b"HTTP/1.1 %s " % status) and answer.count(b"HTTP/1.1 ") == 1, answer
    assert b"connection: close\r\n" in answer.lower()


def test_a_body_that_comes_after_its_refusal_is_dropped_and_nothing_of_it_is_a_request(service: FarmServe) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    header = b"POST /webhooks/nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (len(hidden) + (1 << 20))
    with socket.create_connection(service.address, timeout=60) as connection:
        connection.sendall(header)
        answer = connection.recv(65536)
        connection.sendall(b"x" * (1 << 20) + hidden + hidden)
        answer += b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 404 ") and answer.count(b"HTTP/1.1 ") == 1


def test_many_half_requests_leave_room_for_others(service: FarmServe) -> None:
    half = [socket.create_connection(service.address, timeout=60) for _ in range(4)]
    try:
        assert answer_to(service, b"").startswith(b"HTTP/1.1 503 ")
        for connection in half:
            assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    finally:
        for connection in half:
            connection.close()

    assert httpx.get(f"{service.url}/healthz").status_code == 200


def test_a_connection_may_be_used_again(service: FarmServe) -> None:
    with httpx.Client() as client:
        assert [client.get(f"{service.url}/healthz").status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("path", ["/healthz", "/sign-in", "/api/v1/jobs", "/static/farm.css", "/nothing"])
def test_head_is_get_without_its_body(service: FarmServe, path: str) -> None:
    head, get = httpx.head(f"{service.url}{path}"), httpx.get(f"{service.url}{path}")

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.get("content-length") == get.headers.get("content-length")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("/webhooks/github", "OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/sign-in", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_options_and_405_name_every_method_of_the_resource(service: FarmServe, path: str, allowed: str) -> None:
    options, wrong = httpx.options(f"{service.url}{path}"), httpx.delete(f"{service.url}{path}")

    assert (options.status_code, options.headers["allow"]) == (204, allowed)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)


def test_every_answer_has_an_id_and_keeps_a_sane_one(service: FarmServe) -> None:
    given = httpx.get(f"{service.url}/healthz", headers={"x-request-id": "from-the-proxy.1"})
    odd = httpx.get(f"{service.url}/healthz", headers={"x-request-id": "a b"})
    missing = httpx.get(f"{service.url}/nothing")

    assert given.headers["x-request-id"] == "from-the-proxy.1"
    assert len(odd.headers["x-request-id"]) == len(missing.headers["x-request-id"]) == 32


def test_strangers_learn_nothing_from_readiness(service: FarmServe) -> None:
    assert httpx.get(f"{service.url}/readyz").json() == {"status": "ready"}
    assert httpx.get(f"{service.url}/healthz").json() == {"status": "alive"}


def test_nobody_else_reads_the_store(service: FarmServe) -> None:
    store = Path(service.store.removeprefix("sqlite:///"))

    found = {path.name: path.stat().st_mode & 0o777 for path in store.parent.glob(f"{store.name}*")}
    assert {mode for name, mode in found.items() if not name.endswith(".lock")} == {0o600}
