"""The service as a process: it takes its port, serves, and ends in order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from sqlalchemy import Engine

from ci.config.settings import Config, ServerSection
from ci.forge.open import open_forges
from ci.runner.run_command import FARM
from ci.server.http_protocol import ConnectionLimits, bounded_protocol
from ci.server.service import create_service
from ci.store.engine import open_database
from ci.web.live import Live
from farm.errors import InfrastructureError, UsageError
from jobs.sandbox.bubblewrap import isolation

LOG = logging.getLogger(__name__)


def serve(config: Config, farm: Sequence[str] = FARM) -> None:
    """Serve until SIGTERM or SIGINT. `farm` is the command that runs are started with.

    Raises `UsageError` where it cannot start, `InfrastructureError` where it broke.
    """
    engine = open_database(config.store.url, LOG.warning)
    try:
        _say_what_is_isolated()
        _serve(config, engine, farm)
    finally:
        engine.dispose()


def _serve(config: Config, engine: Engine, farm: Sequence[str]) -> None:
    service = create_service(config, engine, open_forges(config), farm)
    settings = uvicorn.Config(
        service,
        http=bounded_protocol(_limits(config.server)),
        limit_concurrency=config.server.max_connections,
        timeout_graceful_shutdown=config.server.drain_s,
        log_config=None,  # as the rest of the process logs
        access_log=False,
        server_header=False,
        forwarded_allow_ips=config.server.proxies,  # whose word on a client's address is believed
        lifespan="on",
    )
    server = _HttpServer(settings, service.state.live)
    # The port is taken here, because uvicorn ends the process with 1 where it cannot, and 1 blames a kernel.
    with _listener(config.server) as listener, _ended_by_signals():
        LOG.info("listening on %s port %d", *listener.getsockname()[:2])
        server.run([listener])
    if not server.started:
        raise InfrastructureError("the service did not start; its log says why")


def _limits(server: ServerSection) -> ConnectionLimits:
    return ConnectionLimits(server.header_s, server.body_s, server.max_connections_per_peer, frozenset(server.proxies))


class _HttpServer(uvicorn.Server):
    """Ends the streams of open pages first, which otherwise last until they are cut off."""

    def __init__(self, settings: uvicorn.Config, live: Live) -> None:
        super().__init__(settings)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn has it, which now has less to wait for."""
        self._live.end()
        await super().shutdown(sockets)


def _say_what_is_isolated() -> None:
    """What keeps the programs of commits apart here; who installs the service must not have to guess."""
    found = isolation()
    if found.lacks:
        LOG.warning("programs of commits: %s; commits of forks are not run", found.lacks)
    else:
        LOG.info(
            "programs of commits are isolated by bubblewrap: no network, no home, no store, limits on what they use"
        )
    for gap in found.gaps:
        LOG.warning("programs of commits run without %s (%s): %s; %s", gap.means, gap.why, gap.leaves, gap.remedy)


def _listener(server: ServerSection) -> socket.socket:
    try:
        [(family, *_), *_] = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        return socket.create_server((server.host, server.port), family=family, backlog=2048)
    except OSError as error:
        place = f"{server.host} port {server.port}"
        raise UsageError(f"cannot listen on {place}: {error.strerror or error}; see [server] in farm.toml") from error


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """uvicorn raises the signal that ended it a second time when it is done; that must not look like a crash."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
