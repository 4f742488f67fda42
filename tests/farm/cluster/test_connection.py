"""How a local Ray is started, and what is said where it does not start. Real clusters are in the tests beside."""

from __future__ import annotations

import os
from typing import Any

import pytest
import ray
from ray.exceptions import RaySystemError

from farm.cluster import connection
from farm.cluster.local import VISIBLE
from farm.errors import InfrastructureError

TIMED_OUT = "The current node timed out during startup. This could happen because\nthe GCS has become overloaded."


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `ray.init` was called with, and the environment it saw; it ends with `ConnectionError`."""
    calls: list[dict[str, Any]] = []

    def init(**arguments: Any) -> None:
        calls.append({**arguments, "visible": os.environ.get(VISIBLE)})
        raise ConnectionError("as far as this test goes")

    monkeypatch.setattr(ray, "init", init)
    return calls


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


def test_a_list_of_visible_npus_does_not_limit_what_is_simulated(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv(VISIBLE, "3")

    with pytest.raises(InfrastructureError), connection.connected(None, simulated=True):
        pass
    with pytest.raises(InfrastructureError), connection.connected(None, simulated=False):
        pass

    assert [call["visible"] for call in started] == [None, "3"]
    assert os.environ[VISIBLE] == "3"
