"""Asks a process of its own which targets of a suite a commit's changes concern: it parses what a stranger wrote."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

import farm
from ci.config.target import Target
from ci.runner.git_command import FetchError, RefusedCommitError
from ci.runner.git_mirror import Commits
from farm.harness.commit_changes import REFUSED, ChangesRequest, SuiteChanges
from farm.text import one_line

COMMAND = (sys.executable, "-m", "farm.harness.commit_changes")
_LIMIT_S = 600.0


async def concerned(commits: Commits, target: Target, changes: Sequence[str]) -> SuiteChanges:
    """Return what `changes` of the commits concern of the suite `target`.

    Raises:
        RefusedCommitError: The commit cannot be read as a suite's, and that is its own doing.
        FetchError: There is no answer; there may be one later.
    """
    asked = ChangesRequest(
        repository=str(commits.directory),
        head=commits.head,
        base=commits.base,
        suite=target.suite,
        platform=target.platform,
        files=target.files,
        workflow=target.workflow,
        changes=list(changes),
    )
    return await asyncio.to_thread(_answer, asked)


def _answer(asked: ChangesRequest) -> SuiteChanges:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment = {**kept, "PYTHONPATH": str(Path(farm.__file__).parents[1]), "LC_ALL": "C.UTF-8"}
    given = asked.model_dump_json().encode()
    try:
        done = subprocess.run(
            COMMAND, input=given, capture_output=True, timeout=_LIMIT_S, env=environment, cwd="/", check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"what the commit changes of {asked.suite} is not known: {error}") from error
    if done.returncode == REFUSED:
        raise RefusedCommitError(one_line(done.stderr.decode(errors="replace")))
    try:
        return SuiteChanges.model_validate_json(done.stdout)
    except ValidationError as error:
        said = f"what the commit changes of {asked.suite} is not known: exit code {done.returncode}"
        raise FetchError(said) from error
