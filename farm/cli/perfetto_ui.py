"""Shows a trace in Perfetto's own page, which is on the web and fetches the file from this machine.

The page may fetch from 127.0.0.1:9001 and from nowhere else on this machine, as Perfetto's own script for this does.
Only that one file is served, to that one page, on the loopback interface, and no longer than it takes: the browser
draws the trace itself and sends it nowhere.
"""

from __future__ import annotations

import http.server
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from farm.cli.browser import browse
from farm.errors import FarmError, InfrastructureError

UI = "https://ui.perfetto.dev"
PORT = 9001


class NotFetchedError(FarmError):
    """Nobody came for the trace."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"{why}; open {UI} yourself and drop {path} on it")


def hand_over(path: Path, timeout_s: float, opener: Callable[[str], bool] = browse, port: int = PORT) -> None:
    """Open Perfetto's page in the user's browser and serve it the file at `path` once.

    Raises `InfrastructureError` where the port is taken, `NotFetchedError` without a browser or where the page does not
    come for the file within `timeout_s`.
    """
    try:
        server = _TraceServer(path, port)
    except OSError as error:
        raise InfrastructureError(
            f"port {port} of this machine is taken ({error.strerror}), and Perfetto's page fetches from no other; "
            f"open {UI} yourself and drop {path} on it"
        ) from error
    with server:
        address = f"http://127.0.0.1:{server.server_address[1]}/{quote(path.name)}"
        if not opener(f"{UI}/#!/?url={address}"):
            raise NotFetchedError(path, "no browser was found")
        end_s = time.monotonic() + timeout_s
        while not server.fetched:
            server.timeout = end_s - time.monotonic()
            if server.timeout <= 0:
                raise NotFetchedError(path, f"the browser did not come for the trace within {timeout_s:.0f} s")
            server.handle_request()


class _TraceServer(http.server.HTTPServer):
    """Serves one file, on the loopback interface."""

    def __init__(self, path: Path, port: int) -> None:
        self.path = path
        self.fetched = False
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _TraceServer
    timeout = 10.0  # a connection that says nothing must not keep the file from the page

    def do_OPTIONS(self) -> None:
        """The browser asks whether that page may fetch from this machine."""
        self.send_response(204)
        self._allow()
        self.end_headers()

    def do_GET(self) -> None:
        """The file and nothing else."""
        if self.path != "/" + quote(self.server.path.name):
            self.send_error(404)
            return
        content = self.server.path.read_bytes()
        self.send_response(200)
        self._allow()
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.server.fetched = True

    def _allow(self) -> None:
        self.send_header("Access-Control-Allow-Origin", UI)
        self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("Cache-Control", "no-store")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a request is not an event of the command."""
