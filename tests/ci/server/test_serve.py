"""`farm serve` as a process: it starts or says why not, and ends in order."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from ci.store.engine import open_database
from farm.cli.app import main
from tests.ci.configuration import ENVIRONMENT, configuration
from tests.ci.farm_serve import FarmServe

pytestmark = pytest.mark.service


def refused(directory: Path, *words: str, **env: str) -> Result:
    """What `farm serve` says in this process, where it does not come to serve."""
    given = {**ENVIRONMENT, "FARM_STORE": f"sqlite:///{directory / 'store.sqlite'}", **env}
    return CliRunner().invoke(main, ["serve", "--config", str(directory / "farm.toml"), *words], env=given)


def test_every_problem_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    configuration(tmp_path)

    done = refused(tmp_path, SECRET="short", FARM_PUBLIC_URL="nonsense", FARM_PORT="99999")

    lines = done.stderr.splitlines()
    assert done.exit_code == 2
    assert lines[0].endswith("3 problems")
    assert len(lines) == 4 and "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    configuration(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = refused(tmp_path, "--port", str(other.getsockname()[1]))

    assert done.exit_code == 2
    assert "cannot listen on 127.0.0.1 port" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_it_makes_its_tables_bounds_its_connections_and_ends_in_order(tmp_path: Path) -> None:
    configuration(tmp_path, "http://127.0.0.1:9")  # nobody answers there, and that stops nothing
    text = (tmp_path / "farm.toml").read_text().replace("[server]", "[server]\nmax_connections = 8")
    (tmp_path / "farm.toml").write_text(text)
    with FarmServe(tmp_path) as service:
        health = httpx.get(f"{service.url}/healthz")
        assert health.json()["status"] == "alive"
        assert "server" not in health.headers
        idle = [socket.create_connection(service.address) for _ in range(20)]
        try:
            assert httpx.get(f"{service.url}/healthz").status_code == 503, "it tells them to come back"
        finally:
            for connection in idle:
                connection.close()
        service.wait()
        assert_ends_in_order(service, signal.SIGINT)


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
        assert_ends_in_order(service)


def assert_ends_in_order(service: FarmServe, how: signal.Signals | None = None) -> None:
    """The service ends by this signal, or by one that it has got already, and has said nothing that it should not."""
    if how is not None:
        service.process.send_signal(how)
    assert service.process.wait(60) == 0
    open_database(service.store, print).dispose()
    assert "Traceback" not in service.log()
    assert not [secret for secret in ENVIRONMENT.values() if secret in service.log()]
