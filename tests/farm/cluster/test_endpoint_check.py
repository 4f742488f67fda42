"""An address at which no cluster answers, told in one line within seconds. With a real one: `test_local_cluster.py`."""

from __future__ import annotations

import socket
import time

import pytest

from farm.cluster import endpoint_check
from farm.cluster.connection import connected
from farm.errors import InfrastructureError, UsageError

PATIENCE_S = 15.0


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:", ":6379", "host:port", "host:0", "host:65536", "http://host:6379", "::1:6379", "a b:1"],
)
def test_a_malformed_address_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        endpoint_check.resolved(address)


@pytest.mark.parametrize("address", ["10.0.0.1:6379", "head.rack:6379", "[::1]:6379", "ray://head:10001"])
def test_an_address_is_taken_as_it_is(address: str) -> None:
    assert endpoint_check.resolved(address) == address


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_closed_port_is_no_cluster(scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening
        address = f"{scheme}127.0.0.1:{closed.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(InfrastructureError, match=f"no Ray cluster at {address} .*Connection refused.*ray start"):
            endpoint_check.require(address)

    assert time.monotonic() - began < PATIENCE_S


def test_a_port_that_never_answers_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        began = time.monotonic()

        with (
            pytest.raises(InfrastructureError, match=r"no Ray cluster at .* \(no answer within 5 s\)"),
            connected(f"127.0.0.1:{mute.getsockname()[1]}", simulated=True),
        ):
            pass

    assert time.monotonic() - began < PATIENCE_S


def test_no_cluster_on_this_machine_is_said_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise ConnectionError

    monkeypatch.setattr("farm.cluster.ray_internals.running_cluster", nobody)

    with pytest.raises(InfrastructureError, match="--address HOST:PORT"):
        endpoint_check.resolved("auto")
