"""The control service of a Ray head as far as its health is asked for: it answers, refuses, or is silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc


class RayHead:
    """Answers every call with an empty message."""

    def __init__(self) -> None:
        self.refuses = False
        self._may_answer = threading.Event()
        self._may_answer.set()
        self.address = ""

    def freeze(self) -> None:
        """Accept connections and calls from now on, and answer none, as a stopped process does."""
        self._may_answer.clear()

    def thaw(self) -> None:
        """Answer again."""
        self._may_answer.set()

    def service(self, details: Any) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Follows `grpc.GenericRpcHandler`."""

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self._may_answer.wait(30)
            if self.refuses:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such token")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def running() -> Iterator[RayHead]:
    """A head on a free port of this machine."""
    head = RayHead()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((head,))
    head.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield head
    head.thaw()
    server.stop(0).wait()
