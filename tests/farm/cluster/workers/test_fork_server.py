"""Workers from the fork server: what they inherit, how they end, and what ends with what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from farm.cluster.workers import launcher
from farm.cluster.workers.fork_server import ForkServerRequest
from farm.process import installation
from tests.waiting import until

SCRIPT = """
import json, os, signal, sys
from pathlib import Path
told = {"directory": os.getcwd(), "words": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid(),
        "modules": sorted(sys.modules), "blocked": [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])]}
Path(sys.argv[1]).write_text(json.dumps(told))
if sys.argv[2] == "waits":
    signal.pause()
if sys.argv[2] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
print("said so", flush=True)
sys.exit(int(sys.argv[2]))
"""


class Server:
    """A fork server that has loaded a module which nothing else loads."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.path = directory / "socket"
        reading, self.lifeline = os.pipe()
        asked = ForkServerRequest(socket=str(self.path), modules=["wave", "no.such.module"], lifeline=reading)
        command = installation.module_command("farm.cluster.workers.fork_server", asked.model_dump_json())
        self.process = subprocess.Popen(command, pass_fds=[reading], env=environment)
        os.close(reading)
        until(self.path.exists)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path, dict(os.environ))
    with started.process as process:
        yield started
        process.kill()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path / "script.py"


def launched(server: Server, script: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    """The process that Ray would have started."""
    code = (
        "import sys; from farm.cluster.workers import launcher;"
        f"launcher.worker_script = lambda: {str(script)!r}; sys.exit(launcher.main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(script.parent / "told"), *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=script.parent,
        env={**os.environ, launcher.SOCKET: str(server.path), **variables},
    )


def told(script: Path) -> dict[str, object]:
    until((script.parent / "told").exists)
    until(lambda: (script.parent / "told").stat().st_size > 0)
    found: dict[str, object] = json.loads((script.parent / "told").read_text())
    return found


def test_a_worker_has_the_modules_of_the_server_and_the_rest_of_its_launcher(server: Server, script: Path) -> None:
    with launched(server, script, "7") as process:
        printed, _ = process.communicate(timeout=60)

    found = told(script)
    assert (process.returncode, printed) == (7, "said so\n")
    assert found["directory"] == str(script.parent)
    assert found["words"] == [str(script.parent / "told"), "7"]
    assert found["environment"] == {**os.environ, launcher.SOCKET: str(server.path)}
    assert "wave" in list(found["modules"])  # type: ignore[call-overload]
    assert found["pid"] != process.pid


def test_a_launcher_tells_the_signal_that_its_worker_ended_by(server: Server, script: Path) -> None:
    with launched(server, script, "dies") as process:
        process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGKILL


def test_a_worker_ends_with_its_launcher(server: Server, script: Path) -> None:
    with launched(server, script, "waits") as process:
        worker = psutil.Process(int(str(told(script)["pid"])))
        process.kill()

    until(lambda: not worker.is_running())
    with launched(server, script, "7") as process:
        process.communicate(timeout=60)
    assert process.returncode == 7
    assert server.process.poll() is None


def test_the_server_ends_with_whoever_started_it_and_its_workers_do_not(server: Server, script: Path) -> None:
    with launched(server, script, "waits") as process:
        worker = psutil.Process(int(str(told(script)["pid"])))
        os.close(server.lifeline)

        assert server.process.wait(60) == 0
        assert process.wait(60) == 0
        assert worker.is_running(), "Ray ends its workers"
        worker.kill()


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "LD_LIBRARY_PATH", "PYTHONHASHSEED"])
def test_a_worker_that_wants_other_libraries_or_threads_loads_everything_itself(
    server: Server, script: Path, name: str
) -> None:
    with launched(server, script, "0", **{name: "3"}) as process:
        process.communicate(timeout=60)

    found = told(script)
    assert process.returncode == 0
    assert found["pid"] == process.pid
    assert "wave" not in list(found["modules"])  # type: ignore[call-overload]


def test_a_worker_of_a_driver_that_has_connected_is_forked_as_any_other(server: Server, script: Path) -> None:
    with launched(server, script, "0", PYTHONBREAKPOINT="ray.util.rpdb.set_trace") as process:
        process.communicate(timeout=60)

    assert process.returncode == 0
    assert "wave" in list(told(script)["modules"])  # type: ignore[call-overload]


def test_without_a_server_a_worker_is_what_ray_would_have_started(server: Server, script: Path) -> None:
    server.process.kill()
    server.process.wait()

    with launched(server, script, "0") as process:
        process.communicate(timeout=60)

    assert (process.returncode, told(script)["pid"]) == (0, process.pid)


def test_what_is_no_request_costs_its_sender_alone(server: Server, script: Path) -> None:
    stranger = launcher.connected(str(server.path))
    assert stranger is not None
    with stranger:
        stranger.sendall(launcher.LENGTH.pack(3) + b"???")
        assert stranger.recv(1) == b""

    with launched(server, script, "0") as process:
        process.communicate(timeout=60)
    assert "wave" in list(told(script)["modules"])  # type: ignore[call-overload]


def test_rays_own_script_is_where_it_is_looked_for() -> None:
    from ray._private.workers import default_worker

    assert Path(launcher.worker_script()) == Path(default_worker.__file__)
