"""`farm serve` as a process: it starts or says why not, and ends in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ci.store.engine import open_database
from tests.ci.configuration import ENVIRONMENT, configuration
from tests.ci.farm_serve import FarmServe

FARM = str(Path(sys.executable).with_name("farm"))


def refused(directory: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **ENVIRONMENT, "FARM_STORE": f"sqlite:///{directory / 'store.sqlite'}", **env}
    command = [FARM, "serve", "--config", str(directory / "farm.toml"), *words]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)


@pytest.mark.service
def test_every_problem_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    configuration(tmp_path)

    done = refused(tmp_path, SECRET="short", FARM_PUBLIC_URL="nonsense", FARM_PORT="99999")

    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert lines[0].endswith("3 problems")
    assert len(lines) == 4 and "Traceback" not in done.stderr


@pytest.mark.service
def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    configuration(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = refused(tmp_path, "--port", str(other.getsockname()[1]))

    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1 port" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.service
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_makes_its_tables_serves_and_ends_in_order(tmp_path: Path, how: signal.Signals) -> None:
    configuration(tmp_path, "http://127.0.0.1:9")  # nobody answers there, and that stops nothing
    with FarmServe(tmp_path) as service:
        health = httpx.get(f"{service.url}/healthz")
        assert health.json()["status"] == "alive"
        assert "server" not in health.headers
        service.process.send_signal(how)
        assert service.process.wait(20) == 0

    open_database(service.store, print).dispose()
    assert "Traceback" not in service.log()
    assert not [secret for secret in ENVIRONMENT.values() if secret in service.log()]


@pytest.mark.service
def test_more_connections_than_allowed_are_told_to_come_back(tmp_path: Path) -> None:
    configuration(tmp_path, "http://127.0.0.1:9")
    text = (tmp_path / "farm.toml").read_text().replace("[server]", "[server]\nmax_connections = 8")
    (tmp_path / "farm.toml").write_text(text)
    with FarmServe(tmp_path) as service:
        idle = [socket.create_connection(service.address) for _ in range(20)]
        try:
            assert httpx.get(f"{service.url}/healthz").status_code == 503
        finally:
            for connection in idle:
                connection.close()
        service.wait()


@pytest.mark.service
def test_an_open_page_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    configuration(tmp_path, "http://127.0.0.1:9")
    text = (
        (tmp_path / "farm.toml")
        .read_text()
        .replace("[server]", "[api]\npublic_read = true\n\n[server]\ndrain_s = 3600")
    )
    (tmp_path / "farm.toml").write_text(text)
    with FarmServe(tmp_path) as service, httpx.Client(timeout=60) as client:
        with client.stream("GET", f"{service.url}/now/live") as answer:
            lines = answer.iter_lines()
            assert any("Nothing runs" in line for line in lines)
            service.process.send_signal(signal.SIGTERM)
            assert not [line for line in lines if line.startswith("event")]
        assert service.process.wait(60) == 0

    assert "Traceback" not in service.log()
