"""What answers at an address, found within seconds and reported in one line.

`ray.init` alone waits 20 s where its token is refused, a minute where this machine is not a node of the cluster and
minutes where nobody answers, and then reports the last of its own retries. So the cluster's head is asked first, with
a deadline, for what decides: does it answer, does it take our token, do the versions agree, is one of its nodes here.
"""

from __future__ import annotations

import json
import platform
import re
import socket
from typing import Any

import grpc
import ray
from ray.exceptions import AuthenticationError

from farm.cluster import ray_internals
from farm.errors import InfrastructureError, UsageError

ANSWER_TIMEOUT_S = 5.0  # for each of two questions; a head on a busy machine answers within a second
_ADDRESS = re.compile(r"(?P<client>ray://)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


def resolved(address: str) -> str:
    """`address`, or what "auto" stands for: HOST:PORT or `ray://HOST:PORT`. Raises `UsageError` for anything else."""
    if address == "auto":
        try:
            return ray_internals.running_cluster()
        except ConnectionError as error:
            raise InfrastructureError("no Ray cluster runs on this machine; give its --address HOST:PORT") from error
    parts = _ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise UsageError(f"--address '{address}' is no address; use HOST:PORT, for example 10.0.0.1:6379, or auto")
    return address


def require(address: str) -> None:
    """Make sure that a cluster answers at the resolved `address` that this process can join.

    Raises `InfrastructureError` where none answers, or not to us.
    """
    if address.startswith("ray://"):
        _require_port(address)
    else:
        _require_cluster(address)


def answers(address: str, within_s: float) -> bool:
    """Whether the head's control service at HOST:PORT answers a question `within_s` seconds.

    An open port proves nothing: a process that is stopped goes on accepting connections. A refusal is an answer.
    """
    with _channel(address) as channel:
        values = ray_internals.InternalKVGcsServiceStub(channel)
        try:
            values.InternalKVGet(
                ray_internals.METADATA_REQUEST, timeout=within_s, metadata=ray_internals.token_header()
            )
        except grpc.RpcError as error:
            return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        except AuthenticationError:
            return True  # there is no token to send, so nothing can be asked; `require` has said so already
    return True


def _channel(address: str) -> grpc.Channel:
    # A proxy for the web is none for Ray, which ignores it as well. A channel of its own tries again at once, where one
    # that others use waits longer after each failure.
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(address, options=options)


def _require_port(address: str) -> None:
    """Ray Client's own server does the rest, within its own deadline."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_TIMEOUT_S).close()
    except OSError as error:
        raise _nobody(address, error.strerror or str(error)) from error


def _require_cluster(address: str) -> None:
    with _channel(address) as channel:
        values = ray_internals.InternalKVGcsServiceStub(channel)
        metadata = json.loads(_ask(address, values.InternalKVGet, ray_internals.METADATA_REQUEST).value or b"{}")
        _require_versions(address, metadata)
        nodes = ray_internals.NodeInfoGcsServiceStub(channel)
        answer = _ask(address, nodes.GetAllNodeInfo, ray_internals.NODES_REQUEST)
    if not {node.node_id.hex() for node in answer.node_info_list} & ray_internals.nodes_on_this_machine():
        raise InfrastructureError(
            f"this machine is no node of the cluster at {address}; call farm on one of its nodes, or make this one: "
            f"ray start --address {address}"
        )


def _ask(address: str, call: Any, request: Any) -> Any:
    try:
        return call(request, timeout=ANSWER_TIMEOUT_S, metadata=ray_internals.token_header())
    except AuthenticationError as error:
        raise InfrastructureError(f"no token to send to the cluster at {address}; {_TOKEN_REMEDY}") from error
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            message = f"the cluster at {address} does not take this process's token, or none is sent; {_TOKEN_REMEDY}"
            raise InfrastructureError(message) from error
        raise _nobody(address, _short(error)) from error


_TOKEN_REMEDY = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a copy of its token (else ~/.ray/auth_token)"


def _require_versions(address: str, metadata: dict[str, str]) -> None:
    if not metadata or not ray_internals.versions_differ(metadata):
        return
    there = f"Ray {metadata['ray_version']} on Python {metadata['python_version']}"
    here = f"Ray {ray.__version__} on Python {platform.python_version()}"
    raise InfrastructureError(
        f"the cluster at {address} runs {there}, this process {here}; give every node and this one the same .venv"
    )


def _nobody(address: str, why: str) -> InfrastructureError:
    return InfrastructureError(
        f"no Ray cluster at {address} ({why}); start one with `farm cluster up` or `ray start --head`, or leave "
        "--address out"
    )


def _short(error: grpc.RpcError) -> str:
    """gRPC wraps the one thing worth knowing in addresses and retries."""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer within {ANSWER_TIMEOUT_S:.0f} s"
    last = str(error.details() or error.code()).rpartition("last error: ")[2]
    return re.sub(r"^\w+: ipv\S+: |: \[field:.*", "", last)
