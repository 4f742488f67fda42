"""The process of one run: started so that it can do nothing before somebody has written down that it is there."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from farm.process import identity, termination
from farm.process.identity import ProcessIdentity

# A shell that waits for one line and then becomes the command. If its service dies first, it reads end of file and
# exits.
_GATE = 'read -r go && exec "$@" </dev/null'

# Of the service's environment. A kernel's build and the drivers of devices need the long tail of prefixes; whatever
# holds a secret of farm.toml is left out even so.
_NAMES = (
    *("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "CC", "CXX"),
    *("FARM_HOME", "FARM_STORE", "FARM_SIM_DEVICES", "PGPASSFILE", "PGSERVICEFILE", "PYTHONDONTWRITEBYTECODE"),
    *("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED", "RAY_TMPDIR", "no_proxy", "NO_PROXY"),
)
_PREFIXES = ("LC_", "ASCEND_", "ACL_", "TOOLCHAIN_", "PYPTO_", "SIMPLER_", "OMP_")


class Child:
    """One process in a session of its own."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], directory: Path, log: Path) -> None:
        """Start it, held back; what it says goes to the end of `log`."""
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GATE, "sh", *words],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=directory,
                start_new_session=True,
            )
        self.owner = identity.of(self._process.pid)

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None, "opened above"
        with contextlib.suppress(BrokenPipeError):  # killed already, which `wait` reports
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()

    def discard(self) -> None:
        """End it before it has begun."""
        assert self._process.stdin is not None, "opened above"
        self._process.stdin.close()
        self._process.wait()

    def reap(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()


def environment(outer: Mapping[str, str], secrets: Collection[SecretStr]) -> dict[str, str]:
    """What a run gets to see of the service's environment `outer`."""
    hidden = {secret.get_secret_value() for secret in secrets}
    passed = {name: value for name, value in outer.items() if name in _NAMES or name.startswith(_PREFIXES)}
    return {name: value for name, value in passed.items() if not any(secret in value for secret in hidden)}


def end(process: ProcessIdentity, known: Collection[ProcessIdentity]) -> None:
    """End a run and all that it has started: politely, so that it gives its devices back, and then not."""
    termination.end_session(process, known)
