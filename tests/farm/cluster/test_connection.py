"""How a local Ray is started, and what is said where it does not start. Real clusters are in the tests beside."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import ray
from ray.exceptions import RaySystemError

from farm.cluster import connection
from farm.cluster.local import OF_REAL_DEVICES
from farm.errors import InfrastructureError

TIMED_OUT = "The current node timed out during startup. This could happen because\nthe GCS has become overloaded."


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `ray.init` was called with, and the environment it saw; it ends with `ConnectionError`."""
    calls: list[dict[str, Any]] = []

    def init(**arguments: Any) -> None:
        calls.append({**arguments, "real": [os.environ.get(name) for name in OF_REAL_DEVICES]})
        raise ConnectionError("as far as this test goes")

    monkeypatch.setattr(ray, "init", init)
    return calls


def test_a_ray_that_is_too_slow_to_start_is_ended_and_started_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Twice too slow; the process each start has left is gone before the next one, another child is not touched."""
    left: list[subprocess.Popen[bytes]] = []
    own = subprocess.Popen([sys.executable, "-c", "input()", "mine"], stdin=subprocess.PIPE)

    def init(**arguments: Any) -> None:
        assert all(each.poll() is not None for each in left)
        if len(left) == 2:
            raise ConnectionError("as far as this test goes")
        left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "/ray/raylet"]))
        raise Exception(TIMED_OUT)

    monkeypatch.setattr(ray, "init", init)

    this_far = pytest.raises(InfrastructureError, match="as far as this test goes")
    with this_far, connection.connected(None, simulated=True):
        pass

    assert len(left) == 2
    assert own.poll() is None
    own.communicate(b"\n")
    assert capfd.readouterr().err.count("too slow to start on this busy machine; trying again") == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Exception(TIMED_OUT), "did not start within its limit of 30 s.*the machine may be overloaded"),
        (RuntimeError("no\nspace"), "Ray does not start on this machine: no$"),
        (RaySystemError("broken"), "broken"),
        (KeyError("what"), "'what'"),
    ],
)
def test_whatever_ray_raises_at_its_start_is_one_line_of_ours(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def init(**arguments: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)

    with pytest.raises(InfrastructureError, match=words) as caught, connection.connected(None, simulated=True):
        pass
    assert "\n" not in str(caught.value)


def test_what_is_for_real_npus_does_not_limit_what_is_simulated(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]]
) -> None:
    for name in OF_REAL_DEVICES:
        monkeypatch.setenv(name, "3")

    with pytest.raises(InfrastructureError), connection.connected(None, simulated=True):
        pass
    with pytest.raises(InfrastructureError), connection.connected(None, simulated=False):
        pass

    assert [call["real"] for call in started] == [[None, None], ["3", "3"]]
    assert [os.environ[name] for name in OF_REAL_DEVICES] == ["3", "3"]
