"""A copy of the source in which mutants are tried, with the time it may take. Nothing of it stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parents[2]
_GRACE_S = 15.0  # for the trials that run when the time is over
_SHOWN = 30  # lines of mutmut's output where it fails


class EngineError(Exception):
    """mutmut did not come to the mutants: a test fails without any, for example. The message ends with its output."""


@dataclass(frozen=True, slots=True)
class Project:
    """Where the source is, and what a copy of it needs."""

    root: Path
    folders: tuple[str, ...]  # that are copied, those of the tests apart
    plugins: tuple[str, ...] = ()  # of pytest, beside its own: each trial starts pytest again


@contextmanager
def copied(project: Project) -> Iterator[Path]:
    """Give a copy of what git knows of the working tree, changed and new files included; remove it in the end."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
        scratch = Path(directory)
        command = ["git", "-C", str(project.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        wanted = {*project.folders, "tests", "pyproject.toml"}
        for name in names:
            source = project.root / name
            if name.partition("/")[0] in wanted and source.is_file():
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, scratch / name)
        yield scratch


def try_mutants(
    scratch: Path, project: Project, modules: Sequence[str], tests: Sequence[str], *, seconds: float, processes: int
) -> None:
    """Make the mutants of `modules` in `scratch` and try them for at most `seconds`; the results stay in `scratch`.

    Raises `EngineError` where no mutant could be tried for another reason than the time.
    """
    _configure(scratch, project, modules, tests)
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # loading them takes longer than the tests of most mutants
        "OMP_NUM_THREADS": "1",  # a child of fork has none of its parent's threads, and would wait for them
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_HERE), os.environ.get("PYTHONPATH", "")])),
    }
    command = [sys.executable, "-m", "tools.mutation.engine", str(scratch), str(processes)]
    log = scratch / "mutmut.log"
    with log.open("w") as output:
        # A session of its own: Ctrl-C comes here alone, and one signal reaches all that it started.
        engine = subprocess.Popen(
            command, cwd=scratch, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            ended_itself = _wait(engine, seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(engine.pid, signal.SIGKILL)
            engine.wait()
    if ended_itself and engine.returncode != 0:
        lines = log.read_text(errors="replace").replace("\r", "\n").splitlines()
        raise EngineError(f"mutmut ended with {engine.returncode}:\n" + "\n".join(lines[-_SHOWN:]))


def _wait(engine: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether `engine` ended before the time was over; where not, it is interrupted."""
    try:
        engine.wait(seconds)
    except subprocess.TimeoutExpired:
        engine.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            engine.wait(_GRACE_S)
        return False
    return True


def _configure(scratch: Path, project: Project, modules: Sequence[str], tests: Sequence[str]) -> None:
    """Add mutmut's settings to the pyproject.toml of the copy."""
    plugins = [part for plugin in ("no:cacheprovider", *project.plugins) for part in ("-p", plugin)]
    settings = {
        "source_paths": list(modules),
        "also_copy": list(project.folders),
        "pytest_add_cli_args": plugins,
        "pytest_add_cli_args_test_selection": list(tests),
        "use_git_change_detection": False,  # the copy is no clone
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]  # these values are TOML as well
    with (scratch / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
