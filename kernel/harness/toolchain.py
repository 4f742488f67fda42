"""The versions of a suite's toolchain, as its own programs print them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernel.harness.profile_results import Tool

_SECONDS = 30.0
_KEPT_CHARACTERS = 120


def versions(tools: Sequence[Tool], root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return name → version. A program that prints none stands there as such: two unknown versions are not compared.

    Args:
        tools: What to ask.
        root: The repository, where the programs run.
        environment: The whole environment of the programs, which is that of a trial.
    """
    return {tool.name: _version(tool, root, environment) for tool in tools}


def _version(tool: Tool, root: Path, environment: Mapping[str, str]) -> str:
    command = [word.replace("{root}", str(root)) for word in tool.command]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {type(error).__name__} from {command[0]}"
    printed = done.stdout.decode(errors="replace").split("\n")
    first = next((line.strip() for line in printed if line.strip()), "")
    if done.returncode or not first:
        return f"unknown: {command[0]} ended with exit code {done.returncode}"
    return first[:_KEPT_CHARACTERS]
