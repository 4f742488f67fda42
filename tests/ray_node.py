"""A Ray node as a process of its own: in a network namespace, or a head that is killed as a whole and started again.

    python -m tests.ray_node ARGUMENT...

with the arguments of `ray start`. Its workers are forked, as those of the farm's own clusters are.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from farm.cluster import endpoint_check
from tests.waiting import until

_START_S = 120.0
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
# A node that is silent is given up after about six seconds in place of Ray's minute.
IMPATIENT = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


def start(
    log: Path, arguments: Sequence[str], *, before: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the node of `ray start` with `arguments`; `before` are words in front of its command. End it with `kill`.

    Use `answers` to wait until a head is there.
    """
    command = [*before, sys.executable, "-m", "tests.ray_node", *arguments]
    root = str(Path(__file__).parents[1])
    # Once a local Ray was started in this process, all that it starts asks for a token, and its clusters do too.
    token = os.environ.get("RAY_AUTH_MODE", "disabled")
    inherited = {**os.environ, "PYTHONPATH": root, **QUIET, "RAY_AUTH_MODE": token, **(environment or {})}
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=inherited)


@contextlib.contextmanager
def running(log: Path, arguments: Sequence[str], *, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """As `start`; the node is killed with all that it has started at the end of the block."""
    process = start(log, arguments, before=before)
    try:
        yield process
    finally:
        kill(process)


def free_port() -> int:
    """A port of this machine that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def head(port: int, address: str, *more: str) -> list[str]:
    """Arguments of a head without devices."""
    client = f"--ray-client-server-port={free_port()}"  # or it takes the one that others want as well
    return [
        "--head",
        f"--port={port}",
        client,
        f"--node-ip-address={address}",
        "--include-dashboard=false",
        *_few(0),
        *more,
    ]


def member(head_at: str, address: str, name: str, devices: int) -> list[str]:
    """Arguments of a node of `devices` devices that joins the head at HOST:PORT."""
    return [f"--address={head_at}", f"--node-ip-address={address}", f"--labels=farm-node={name}", *_few(devices)]


def _few(devices: int) -> list[str]:
    npus = [f'--resources={{"NPU": {devices}}}'] if devices else []
    return ["--num-cpus=2", "--object-store-memory=80000000", "--dashboard-agent-listen-port=0", *npus]


def answers(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait until the head at HOST:PORT answers. Fails the test where its process ends before."""

    def there() -> bool:
        assert process.poll() is None, log.read_text()
        return endpoint_check.answers(address, 2.0)

    until(there, _START_S, "a head that answers")


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the node as a loss of power does: with all of its processes at once."""
    left = []
    with contextlib.suppress(psutil.NoSuchProcess):
        left = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    psutil.wait_procs(left, timeout=30)


def main() -> None:
    from ray.scripts import scripts

    from farm.cluster import patience
    from farm.cluster.workers import forked

    words = ["start", "--block", "--disable-usage-stats", *sys.argv[1:]]
    with forked.workers(simulated=True):
        patience.started(lambda: scripts.cli.main(words, standalone_mode=False))


if __name__ == "__main__":
    main()
