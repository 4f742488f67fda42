"""Where others can install this farm from, for the pin that a starter's files contain.

An index is named only where this installation came from one: anybody may claim a name that is free there.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from farm.source import git_environment

DISTRIBUTION = "npu-kernel-farm"
EXTRAS = "[pypto,test]"  # what a kernel and its tests need
_PUBLIC = ("https", "http", "ssh", "git")
_GIT_S = 30.0


def requirement(distribution: str = DISTRIBUTION) -> str:
    """Return the requirement that installs this farm again elsewhere; "" where no such source is known.

    From an index it is the exact version, from a git repository the exact commit. A checkout counts as its `origin`,
    where that has its commit. Credentials in an address are dropped.
    """
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
    origin = found.read_text("direct_url.json")
    if origin is None:
        return f"{distribution}{EXTRAS}=={found.version}"
    described = json.loads(origin)
    url, commit = str(described.get("url", "")), described.get("vcs_info", {}).get("commit_id", "")
    if "dir_info" in described:
        url, commit = _of_checkout(Path(unquote(urlsplit(url).path)))
    address = _without_credentials(url)
    return f"{distribution}{EXTRAS} @ git+{address}@{commit}" if address and commit else ""


def _of_checkout(directory: Path) -> tuple[str, str]:
    """Return the address of `origin` and the commit at `directory`; two "" where `origin` does not have it."""
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    published = commit and _git(directory, "branch", "--remotes", "--contains", commit, "--list", "origin/*")
    return (_git(directory, "remote", "get-url", "origin"), commit) if published else ("", "")


def _without_credentials(url: str) -> str:
    """Return `url` without user and password; "" for what others cannot fetch, such as a path."""
    parts = urlsplit(url)
    if parts.scheme not in _PUBLIC or not parts.hostname:
        return ""
    user = "git@" if parts.scheme == "ssh" else ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{user}{parts.hostname}{port}", parts.path, "", ""))


def _git(directory: Path, *arguments: str) -> str:
    """Return git's answer, "" where it has none."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_GIT_S, env=git_environment.clean()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
