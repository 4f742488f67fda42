"""The versions of a suite's toolchain, as its own programs print them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kernel.harness.profile_results import Tool

SECONDS = 30.0
_KEPT_CHARACTERS = 120


Ask = Callable[[Sequence[str]], tuple[int | None, bytes]]  # runs a command: its exit code, and what it printed


def versions(tools: Sequence[Tool], root: Path, ask: Ask) -> dict[str, str]:
    """Return name → version. A program that prints none stands there as such: two unknown versions are not compared.

    Args:
        tools: What to ask.
        root: The repository, which the commands may name.
        ask: Runs one command in the environment of a trial. May raise `OSError` or `subprocess.TimeoutExpired`.
    """
    return {tool.name: _version(tool, root, ask) for tool in tools}


def asked(root: Path, environment: Mapping[str, str]) -> Ask:
    """Return what asks in the repository itself, as the farm's user."""

    def ask(command: Sequence[str]) -> tuple[int | None, bytes]:
        done = subprocess.run(
            command,
            cwd=root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
        return done.returncode, done.stdout

    return ask


def _version(tool: Tool, root: Path, ask: Ask) -> str:
    command = [word.replace("{root}", str(root)) for word in tool.command]
    try:
        code, output = ask(command)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: {type(error).__name__} from {command[0]}"
    printed = output.decode(errors="replace").split("\n")
    first = next((line.strip() for line in printed if line.strip()), "")
    if code or not first:
        ended = "in time" if code is None else f"with exit code {code}"
        return f"unknown: {command[0]} {'did not end' if code is None else 'ended'} {ended}"
    return first[:_KEPT_CHARACTERS]
