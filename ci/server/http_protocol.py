"""HTTP/1.1 as uvicorn has it, with an end to patience: for a request's header, for its body, and for one peer.

A connection that never completes a header costs its sender nothing, and uvicorn counts it among those it serves; a few
hundred of them would have every other request answered with 503.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ci.server.unread_body import UnreadBody

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of one peer, may take."""

    header_s: float  # until a request's header is complete
    body_s: float  # until its body is
    per_peer: int  # open connections of one address
    proxies: Collection[str]  # addresses with as many as they like


def bounded_protocol(limits: ConnectionLimits) -> type[H11Protocol]:
    """Return the protocol of one server, whose connections are counted together."""
    connected: Counter[str] = Counter()

    class BoundedProtocol(H11Protocol):
        """One connection."""

        _waits_for: object = None  # h11's state of the client while a timer runs
        _timer: asyncio.TimerHandle | None = None
        _counted_as = ""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """As uvicorn has it, with an application that ends connections whose body is missing."""
            super().__init__(*args, **kwargs)
            self.app = cast(Any, UnreadBody(cast(Any, self.app), lambda: self.conn.their_state is h11.SEND_BODY))

        def connection_made(self, transport: Any) -> None:
            """Count the connection, and begin to wait for its first header."""
            super().connection_made(transport)
            peer = self.client[0] if self.client else ""
            if peer not in limits.proxies:
                self._counted_as = peer
                connected[peer] += 1
            if self._counted_as and connected[peer] > limits.per_peer:
                self._hang_up(_TOO_MANY)
                return
            self._watch()

        def data_received(self, data: bytes) -> None:
            """Take data in. What is still missing has to come within its time."""
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget the connection."""
            self._stop_waiting()
            if self._counted_as:
                connected[self._counted_as] -= 1
                if connected[self._counted_as] <= 0:
                    del connected[self._counted_as]
                self._counted_as = ""
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Have the timer fit what is missing of the present request; it does not begin again with each byte."""
            state = self.conn.their_state
            if state is self._waits_for:
                return
            self._stop_waiting()
            self._waits_for = state
            patience = {h11.IDLE: limits.header_s, h11.SEND_BODY: limits.body_s}.get(cast(Any, state))
            if patience is not None:
                self._timer = self.loop.call_later(patience, self._hang_up, _LATE)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _hang_up(self, answer: bytes) -> None:
            """Close the connection, with an answer where the request that is not complete has none yet."""
            if self.transport.is_closing():
                return
            body_is_missing = self.conn.their_state is h11.SEND_BODY
            if self.cycle is None or not self.cycle.response_started or not body_is_missing:
                self.transport.write(answer)
            self.transport.close()

    return BoundedProtocol
