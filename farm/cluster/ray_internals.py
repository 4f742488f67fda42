"""Ray's private interfaces, all of them: what the farm needs and Ray 2.60 offers no public way to do.

They are used with the minor versions of Ray in `farm.process.ray_version` alone, with which each was tried.

`tests/farm/cluster/test_local.py` and `tests/farm/cluster/test_endpoint_check.py` hold each of them to a real Ray.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
from ray._private import node, parameter, ray_constants, services, state, utils, worker
from ray._private.worker import global_worker
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.core.generated.gcs_pb2 import GcsNodeInfo
from ray.core.generated.gcs_service_pb2 import GetAllNodeInfoRequest, InternalKVGetRequest
from ray.core.generated.gcs_service_pb2_grpc import InternalKVGcsServiceStub, NodeInfoGcsServiceStub

METADATA_REQUEST = InternalKVGetRequest(key=CLUSTER_METADATA_KEY, namespace=ray_constants.KV_NAMESPACE_CLUSTER)
NODES_REQUEST = GetAllNodeInfoRequest(state_filter=GcsNodeInfo.ALIVE)

__all__ = ["METADATA_REQUEST", "NODES_REQUEST", "InternalKVGcsServiceStub", "NodeInfoGcsServiceStub"]

_AUTH_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextlib.contextmanager
def token_from(path: Path | None) -> Iterator[None]:
    """Send the token in the file `path` for as long as the block lasts; without one, change nothing.

    Setting the variables is not enough: Ray read them when it was imported.
    """
    if path is None:
        yield
        return
    before = {name: os.environ.pop(name, None) for name in _AUTH_VARIABLES}
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(path))
    _read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _read_again()


def _read_again() -> None:
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def token_header() -> list[tuple[str, str]]:
    """What this process would send with each call, as gRPC metadata; empty without token authentication.

    Raises `ray.exceptions.AuthenticationError` where a token is asked for and there is none.
    """
    return list(AuthenticationTokenLoader.instance().get_token_for_http_header().items())


@contextlib.contextmanager
def on_loopback(wanted: bool) -> Iterator[None]:
    """Make a Ray that starts in the block bind 127.0.0.1 alone, as it does where it knows no clusters.

    On Linux it otherwise replaces every loopback address it is given by the host's own, and listens on all of them.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = before and not wanted
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def worker_script(path: str) -> Iterator[None]:
    """Have every node that is started within the block start its workers with the script at `path`.

    Its nodes have neither a log monitor nor an autoscaler. A node for which no dashboard is wanted has none of Ray's
    processes for it, and its agent serves what workers need alone. Nobody asks the rest here, each costs seconds of
    CPU at each start, and a start waits for the last one.
    """
    original, serve, start_raylet = parameter.RayParams, node.Node.start_api_server, node.Node.start_raylet
    dependency_error = utils.get_dashboard_dependency_error
    changed = {"worker_path": path, "include_log_monitor": False, "no_monitor": True}

    class Params(original):  # type: ignore[misc,valid-type]
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, **changed})

    def only_if_wanted(started: node.Node, **named: Any) -> None:
        if named["include_dashboard"] is not False:
            serve(started, **named)

    def with_a_small_agent(started: node.Node, *given: Any, **named: Any) -> None:
        if started._ray_params.include_dashboard is False:  # or Ray imports the dashboard to see whether it can
            utils.get_dashboard_dependency_error = lambda: ImportError("no dashboard is wanted")
        try:
            start_raylet(started, *given, **named)
        finally:
            utils.get_dashboard_dependency_error = dependency_error

    parameter.RayParams, node.Node.start_api_server = Params, only_if_wanted
    node.Node.start_raylet = with_a_small_agent
    try:
        yield
    finally:
        parameter.RayParams, node.Node.start_api_server = original, serve
        node.Node.start_raylet = start_raylet


def worker_path() -> list[str]:
    """Directories that Ray puts first on the path of this process's workers, once it is connected."""
    return list(global_worker.core_worker.get_job_config().py_driver_sys_path)


def running_cluster() -> str:
    """HOST:PORT that Ray means by "auto". Raises `ConnectionError` where it finds none."""
    return str(services.get_ray_address_from_environment("auto", None))


def available_by_node() -> dict[str, dict[str, float]]:
    """Resources nobody holds, by Ray's node id."""
    return dict(state.available_resources_per_node())


def kill_own_nodes() -> None:
    """Kill the processes of a local cluster that this process has started, at once; without one, do nothing.

    `ray.shutdown` ends them only after it has talked to them, which one that is stopped never answers.
    """
    node = worker._global_node
    if node is not None:  # one that was only joined has no processes here
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def kill_half_started(before: Collection[int]) -> None:
    """Kill what a start of Ray that failed has left: children of this process that are Ray's and not among `before`."""
    left = [child for child in psutil.Process().children() if child.pid not in before and _is_rays(child)]
    for child in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(left, timeout=10)


def _is_rays(process: psutil.Process) -> bool:
    try:
        return any("/ray/" in word for word in process.cmdline())
    except psutil.Error:
        return False


def nodes_on_this_machine() -> set[str]:
    """Ids of Ray's nodes that run on this machine, of whatever cluster."""
    return set(services.find_node_ids())


def versions_differ(metadata: Mapping[str, str]) -> bool:
    """Whether Ray would refuse to work with a cluster of these `ray_version` and `python_version`."""
    try:
        utils.check_version_info(dict(metadata), "this process")
    except RuntimeError:
        return True
    return False
