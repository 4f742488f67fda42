"""A Python that has loaded torch before it starts: for tests of processes whose subject is not how they load it.

`import torch` costs seconds of CPU in each process. The program here asks a fork server (`farm.cluster.workers`) for a
process that has it loaded, is ended where that one is, and ends as it does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from farm.cluster.workers import launcher
from farm.cluster.workers.fork_server import ForkServerRequest
from farm.process import installation
from tests.waiting import until

_PROGRAM = """#!{python} -SE
import os, signal, sys
sys.path.insert(0, {directory!r})
import launcher
server = launcher.connected({socket!r})
assert server is not None, "the fork server is gone"
status = launcher.forked(server, sys.argv[1:])
assert status is not None, "the fork server refuses"
if os.WIFSIGNALED(status):
    signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(status))
sys.exit(os.WEXITSTATUS(status))
"""


@contextlib.contextmanager
def warm_python(directory: Path) -> Iterator[str]:
    """Write the program into `directory` and yield its path, which stands for `sys.executable`; `-c`, `-m` are none."""
    program, socket = directory / "python", directory / "socket"
    words = {"python": sys.executable, "directory": str(Path(launcher.__file__).parent), "socket": str(socket)}
    program.write_text(_PROGRAM.format(**words))
    program.chmod(0o755)
    reading, lifeline = os.pipe()
    request = ForkServerRequest(socket=str(socket), modules=["torch"], lifeline=reading)
    command = installation.module_command("farm.cluster.workers.fork_server", request.model_dump_json())
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[reading]) as server:
        os.close(reading)
        try:
            until(socket.exists)
            yield str(program)
        finally:
            os.close(lifeline)
            server.wait()
