"""A run's files through the API, in a directory where the kernel under test may have left anything."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ci.store.states import Scope
from tests.ci.api_client import Api

pytestmark = pytest.mark.service

BASE = "/api/v1/runs/r1"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "r1"


@contextmanager
def reading(directory: Path) -> Iterator[httpx.Client]:
    """A client of a service with two runs, and a secret beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_HOME", str(directory / "home"))
        api = Api(directory)
    api.add_runs("r1", "r2")
    (directory / "secret").write_text("the service's own")
    with api.client(Scope.READ) as client:
        yield client
    api.engine.dispose()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with reading(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One for all tests that leave its files as they are."""
    with reading(tmp_path_factory.mktemp("unchanged")) as made:
        yield made


def test_files_and_logs_are_listed_and_had(unchanged: httpx.Client) -> None:
    listed = unchanged.get(f"{BASE}/artifacts").json()
    log = unchanged.get(f"{BASE}/logs/trial.log")
    report = unchanged.get(f"{BASE}/artifacts/report.json")

    assert [file["path"] for file in listed] == ["logs/trial.log", "report.json"]
    assert unchanged.get(f"{BASE}/logs").json() == [{"path": "trial.log", "size": 14}]
    assert log.text == "hello from r1\n" and log.headers["content-type"].startswith("text/plain")
    assert report.json() == {"run": "r1"}
    # What a kernel wrote must not act in a browser as a page of the service.
    assert report.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in report.headers["content-security-policy"]
    assert report.headers["x-content-type-options"] == "nosniff"


def test_a_part_of_a_file_is_had_by_its_range(unchanged: httpx.Client) -> None:
    part = unchanged.get(f"{BASE}/logs/trial.log", headers={"Range": "bytes=6-9"})
    beyond = unchanged.get(f"{BASE}/logs/trial.log", headers={"Range": "bytes=100-"})
    nonsense = unchanged.get(f"{BASE}/logs/trial.log", headers={"Range": "bytes=x"})

    assert (part.status_code, part.text) == (206, "from")
    assert (beyond.status_code, nonsense.status_code) == (416, 400)
    assert beyond.headers["content-type"] == nonsense.headers["content-type"] == "application/problem+json"


OUTSIDE = [
    "../r2/report.json",
    "../../secret",
    "..%2f..%2fsecret",
    "%2e%2e/%2e%2e/secret",
    "..%252f..%252fsecret",
    "logs/../../../secret",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "//etc/passwd",
    "./report.json",
    "logs//trial.log",
    "report.json/",
    "report.json%00",
    "%ff",
    "logs",
    "",
    "x" * 999,
]


@pytest.mark.parametrize("kind", ["artifacts", "logs"])
@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_the_runs_directory_is_had(unchanged: httpx.Client, kind: str, path: str) -> None:
    """Past httpx, which tidies paths up."""
    url = unchanged.base_url
    with socket.create_connection((url.host, url.port or 80)) as connection:
        head = f"GET {BASE}/{kind}/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        connection.sendall(f"{head}Authorization: {unchanged.headers['authorization']}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    status = int(answer.split(b" ", 2)[1])
    assert status in (307, 404, 422), answer
    assert b"root:" not in answer and b"service's own" not in answer and b'"r2"' not in answer


@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "../r2/report.json", "report.json"])
def test_no_symbolic_link_is_followed(client: httpx.Client, directory: Path, target: str) -> None:
    (directory / "link").symlink_to(target)

    assert client.get(f"{BASE}/artifacts/link").status_code == 404
    assert "link" not in [file["path"] for file in client.get(f"{BASE}/artifacts").json()]


def test_no_linked_directory_is_entered(client: httpx.Client, directory: Path) -> None:
    (directory / "up").symlink_to("..", target_is_directory=True)
    (directory / "logs" / "trial.log").unlink()
    (directory / "logs").rmdir()
    (directory / "logs").symlink_to("../r2/logs", target_is_directory=True)

    assert client.get(f"{BASE}/artifacts/up/r2/report.json").status_code == 404
    assert client.get(f"{BASE}/logs/trial.log").status_code == 404
    assert client.get(f"{BASE}/logs").json() == []
    assert [file["path"] for file in client.get(f"{BASE}/artifacts").json()] == ["report.json"]


def test_a_run_directory_that_became_a_link_is_not_entered(client: httpx.Client, directory: Path) -> None:
    directory.rename(directory.with_name("moved"))
    directory.symlink_to("r2", target_is_directory=True)

    assert client.get(f"{BASE}/artifacts/report.json").status_code == 404


def test_a_pipe_holds_nobody_up_and_odd_names_break_nothing(client: httpx.Client, directory: Path) -> None:
    os.mkfifo(directory / "pipe")
    (directory / "bad\udcff").write_text("x")

    assert client.get(f"{BASE}/artifacts/pipe").status_code == 404
    assert [file["path"] for file in client.get(f"{BASE}/artifacts").json()] == ["logs/trial.log", "report.json"]


def test_files_that_are_elsewhere_are_said_to_be(client: httpx.Client, directory: Path) -> None:
    directory.rename(directory.with_name("elsewhere"))

    answer = client.get(f"{BASE}/artifacts")

    assert answer.status_code == 404
    assert "not on this machine" in answer.json()["detail"]


def test_every_file_is_closed_again(tmp_path: Path) -> None:
    api = Api(tmp_path)
    api.add_runs("r1")
    with api.client(Scope.READ) as client:
        client.get(f"{BASE}/logs/trial.log")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            client.get(f"{BASE}/logs/trial.log")
            client.get(f"{BASE}/logs/nothing")
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
