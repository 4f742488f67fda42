"""Commits that an author can propose, end to end: rows of docs/maintainer-pull-requests.md."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import pytest

from tests.ci.server.author_rows import Row, require
from tests.ci.server.proposals import Author, Farm, farm, farm_home
from tests.fakes.git_remote import PROGRAM, SAYS

pytestmark = pytest.mark.service

__all__ = ["farm", "farm_home"]

PLACE = "kernel/qkv_proj_rope"
FILTER = "* filter=evil\n*.py diff=evil merge=evil\n"


def files(changes: dict[str, str], approved: bool = False) -> Callable[[Author], None]:
    """Propose a commit of `changes`, which somebody may approve."""

    def act(author: Author) -> None:
        author.changes(changes)
        if approved:
            author.is_approved()

    return act


def planted(path: str, mode: str, digest: str = "") -> Callable[[Author], None]:
    """Propose a commit with one entry that is no plain file, or has no plain path."""

    def act(author: Author) -> None:
        blob = author.farm.remote.blob
        author.plants({SAYS: ("100644", blob("passed")), path: (mode, digest or blob("content"))})

    return act


def many_files(folder: str, count: int, author: Author) -> None:
    """Propose `count` files with long names in `folder`."""
    blob = author.farm.remote.blob("content")
    named = {f"{folder}/{'x' * 100}{number}": ("100644", blob) for number in range(count)}
    author.plants({SAYS: ("100644", author.farm.remote.blob("passed")), **named})


def tree_bomb(path: str, author: Author) -> None:
    """Propose a few objects that list as a billion files below `path`."""
    author.proposes(author.farm.remote.bomb(path, levels=9, ref=author.ref))


def without_a_program(author: Author) -> None:
    """Propose a commit in which the kernel's directory is gone."""
    author.plants({})


def gone(author: Author) -> None:
    """Announce a commit that nobody can fetch."""
    author.proposes("f" * 40)


def nothing_changed(author: Author) -> None:
    """Propose the tip of the branch that it is to be merged into."""
    author.farm.remote.git("update-ref", author.ref, author.farm.remote.main)
    author.proposes(author.farm.remote.main)


def gain_behind_another_approval(author: Author) -> None:
    """Have other rules approved before anybody can know how fast it is."""
    author.changes({SAYS: "gains", "kernel/budgets.toml": "ceiling_us = 9999"})
    author.is_approved()


ROWS = [
    Row("faster-program", "success", files({PROGRAM: "faster"})),
    Row("wrong-program", "failure", files({SAYS: "failed"}), "tolerance"),
    Row("unmeasured-run", "action_required", files({SAYS: "errored"}), "3 of 9 trials"),
    Row("too-few-devices", "action_required", files({SAYS: "busy"}), "3 devices asked for"),
    Row("run-dies", "action_required", files({SAYS: "dies"})),
    Row("hostile-reason", "failure", files({SAYS: "hostile"})),
    Row("nothing-changed", "success", nothing_changed),
    Row("documents-alone", "success", files({"README.md": "x", "docs/a/b.md": "x"})),
    Row("implausible-gain", "queued", files({SAYS: "gains"}), "faster than its history makes plausible"),
    Row("implausible-gain-approved", "success", files({SAYS: "gains"}, approved=True), approved_by="will"),
    Row("gain-behind-other-approval", "queued", gain_behind_another_approval, "faster than its history"),
    Row("rules-found-by-run", "queued", files({SAYS: "rules"}), "kernel/rules.py"),
    Row("budgets", "queued", files({"kernel/budgets.toml": "ceiling_us = 9999"}), "kernel/budgets.toml"),
    Row(
        "budgets-approved",
        "success",
        files({"kernel/budgets.toml": "ceiling_us = 9999"}, approved=True),
        "judged by those in force",
        "will",
    ),
    Row("tolerances", "queued", files({f"{PLACE}/tolerances.toml": "q = 1"}), "tolerances.toml"),
    Row("golden", "queued", files({f"{PLACE}/golden.py": "def golden(): return 0"}), "golden.py"),
    Row("inputs", "queued", files({f"{PLACE}/inputs.py": "def inputs(): return 0"}), "inputs.py"),
    Row("farm-code", "queued", files({"farm/gates/tolerance.py": "x", PROGRAM: "faster"}), "no run exercises"),
    Row("sandbox-code", "queued", files({"jobs/sandbox/limits.py": "x", PROGRAM: "faster"}), "no run exercises"),
    Row("other-kernel", "queued", files({"kernel/other/program.py": "x"}), "kernel/other/program.py"),
    Row("workflow-files", "queued", files({".github/workflows/ci.yml": "x"}), ".github/workflows/ci.yml"),
    Row("build-files", "queued", files({"setup.cfg": "x", "pyproject.toml": "x"}), "setup.cfg"),
    Row("git-attributes", "queued", files({".gitattributes": FILTER, ".lfsconfig": "x"}), ".gitattributes"),
    Row("huge-file-elsewhere", "queued", files({"data.bin": "x" * (20 << 20)}), "data.bin"),
    Row("symlink", "failure", planted(f"{PLACE}/golden.so", "120000"), "symbolic link"),
    Row("submodule", "failure", planted(f"{PLACE}/vendor", "160000", "a" * 40), "submodule"),
    Row("odd-path", "failure", planted(f"{PLACE}/a\u2028b.py", "100644"), "no path for a file"),
    Row("large-file", "failure", files({PROGRAM: "x" * (9 << 20)}), "at most 8.4 MB"),
    Row("too-many-files", "failure", functools.partial(many_files, PLACE, 2001), "at most 2000"),
    Row("no-program", "failure", without_a_program, "where the kernel's program would be"),
    Row(
        "no-common-history",
        "failure",
        lambda author: author.proposes(author.farm.remote.commit({SAYS: "passed"}, ref=author.ref)),
        "in common",
    ),
    Row("over-fetch-limit", "failure", files({PROGRAM: os.urandom(2 << 20).hex()}), "larger than 1048576 bytes"),
    Row("too-many-names", "failure", functools.partial(many_files, "other", 20), "changes so many files"),
    Row("tree-bomb", "failure", functools.partial(tree_bomb, PLACE)),
    Row("tree-bomb-elsewhere", "failure", functools.partial(tree_bomb, "elsewhere")),
    Row("commit-gone", "action_required", gone, "ffff"),
]
LIMITS = {  # of the service, made small enough to be met by a test
    "too-many-names": ("ci.runner.git_command.MOST_OUTPUT_BYTES", 1 << 10),
    "tree-bomb": ("ci.runner.git_mirror.MOST_NAMES_BYTES", 1 << 20),
    "tree-bomb-elsewhere": ("ci.runner.git_mirror.MOST_NAMES_BYTES", 1 << 20),
    "run-dies": ("ci.runner.run_monitor.MOST_ATTEMPTS", 2),
}


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_a_commit_is_merged_on_proof_or_by_name_alone(row: Row, farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    if row.id in LIMITS:
        monkeypatch.setattr(*LIMITS[row.id])

    require(row, farm)


def test_the_service_that_met_all_of_them_still_judges_a_neighbour(farm: Farm) -> None:
    require(Row("faster-program", "success", files({PROGRAM: "of a neighbour"})), farm)
