"""A directory that has packages named like the farm's own, in which commands are started."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farm.process.installation import PACKAGES

FARM = str(Path(sys.executable).with_name("farm"))


class Checkout:
    """A directory with foreign packages, and commands that are run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.witness = path.parent / "witness"
        for package in PACKAGES:
            (path / package).mkdir(parents=True)
            (path / package / "__init__.py").write_text(
                f"open({str(self.witness)!r}, 'a').write('{package}')\nraise ImportError('of a stranger')\n"
            )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False, timeout=400)

    @property
    def imported(self) -> str:
        """Names of the foreign packages that some process has imported."""
        return self.witness.read_text() if self.witness.exists() else ""

    @contextmanager
    def cluster(self, devices: int) -> Iterator[str]:
        """A cluster of one node that is started there too; yields its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        done = self.run(FARM, "cluster", "up", "--nodes", "1", "--devices-per-node", str(devices), "--port", port)
        assert done.returncode == 0, done.stderr
        yield f"127.0.0.1:{port}"
        self.run(FARM, "cluster", "down")
