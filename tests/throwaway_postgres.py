"""A PostgreSQL of the tests' own, where its binaries are installed: no port, no password, gone with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import came_true

_DEBIAN = Path("/usr/lib/postgresql")
_START_S = 120.0
_ACCOUNT = "postgres"  # of Debian's package; the server refuses to run as root


def binaries() -> Path | None:
    """Where `initdb` and `postgres` are, None where they are not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def running(programs: Path) -> Iterator[str]:
    """A server with an empty database, as a SQLAlchemy URL. It listens on a socket in a directory of its own."""
    user: dict[str, Any] = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.getuid() == 0 else {}
    directory = Path(tempfile.mkdtemp(prefix="farm-pg-", dir="/tmp"))  # a socket's path must be short
    if user:
        shutil.chown(directory, _ACCOUNT, _ACCOUNT)
    data, log = directory / "data", directory / "log"
    try:
        make = [str(programs / "initdb"), "-D", str(data), "-U", "farm", "-A", "trust", "-E", "UTF8", "--locale", "C"]
        subprocess.run([*make, "--no-sync"], check=True, capture_output=True, cwd=directory, **user)
        serve = [str(programs / "postgres"), "-D", str(data), "-k", str(directory), "-h", "", "-F"]
        with log.open("wb") as said:
            server = subprocess.Popen(serve, stdout=said, stderr=said, cwd=directory, **user)
        try:
            _wait(server, directory, log)
            yield f"postgresql+psycopg://farm@/postgres?host={directory}"
        finally:
            server.send_signal(signal.SIGINT)  # it ends its connections and itself
            server.wait(60)
    finally:
        shutil.rmtree(directory)


def _wait(server: subprocess.Popen[bytes], directory: Path, log: Path) -> None:
    import psycopg

    def answers() -> bool:
        try:
            psycopg.connect(host=str(directory), user="farm", dbname="postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            return False
        return True

    assert came_true(answers, _START_S), log.read_text()
