"""A git repository with one kernel in it and a commit for each of its versions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

KERNEL = "bisected"
_PROGRAM = '''"""A kernel of another repository."""

from pathlib import Path

from tests.fakes.small_kernel import SmallKernel


class Bisected(SmallKernel):
    name = "bisected"
{attributes}

    def sources(self):
        return (Path(__file__),)

    def budgets(self):
        return Path(__file__).with_name("budgets.toml")


KERNEL = Bisected()
'''


def program(number: int, attributes: str) -> str:
    """Version `number` of the program; no two are alike."""
    return _PROGRAM.format(attributes=f"    version = {number}\n    {attributes or 'pass'}")


class Commits:
    """The repository. `ids[0]` is the first commit, with version 0."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.ids: list[str] = []

    def git(self, *arguments: str) -> str:
        """What git printed."""
        identity = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            identity |= {f"GIT_{who}_NAME": "A Person", f"GIT_{who}_EMAIL": "a@example.org"}
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **identity},
        )
        return done.stdout.strip()

    def commit(self, attributes: str = "", subject: str = "") -> str:
        """One more version of the program; its id."""
        (self.path / f"{KERNEL}.py").write_text(program(len(self.ids), attributes))
        return self.record(subject or f"Version {len(self.ids)}")

    def touch(self, subject: str = "Say something else") -> str:
        """A commit that leaves the program alone."""
        (self.path / "README").write_text(f"{len(self.ids)}\n")
        return self.record(subject)

    def record(self, subject: str) -> str:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        self.ids.append(self.git("rev-parse", "HEAD"))
        return self.ids[-1]


def versions(path: Path, attributes: Sequence[str]) -> Commits:
    """A repository with a commit for each of `attributes`."""
    made = Commits(path)
    for each in attributes:
        made.commit(each)
    return made
