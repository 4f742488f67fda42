"""`farm serve` as a process of its own, over the configuration in one directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.ci.configuration import ENVIRONMENT
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0  # a hang, on a machine however busy
FARM = str(Path(sys.executable).with_name("farm"))


class FarmServe:
    """One service process at a time; a context that ends it."""

    def __init__(self, directory: Path, *command: str) -> None:
        """`command` is what is started instead of `farm serve`; it finds its port in the environment."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = ("127.0.0.1", int(probe.getsockname()[1]))
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.store = f"sqlite:///{directory / 'store.sqlite'}"
        self._directory = directory
        self._command = command or (FARM, "serve", "--config")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [*self._command, str(self._directory / "farm.toml")]
        env = {**os.environ, **ENVIRONMENT, "FARM_STORE": self.store, "FARM_PORT": str(self.address[1])}
        path = [str(ROOT), *filter(None, [env.get("PYTHONPATH")])]  # of commands that are tests' own
        env |= {"FARM_HOME": str(self._directory / "home"), "PYTHONPATH": os.pathsep.join(path)}
        with (self._directory / "log").open("a") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self.wait()

    def wait(self) -> None:
        """Until it is ready."""
        until(self._ready, PATIENCE_S, "the start of the service")

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal."""
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)

    def log(self) -> str:
        """What it has said."""
        return (self._directory / "log").read_text()

    def __enter__(self) -> FarmServe:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end()
