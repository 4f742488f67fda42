"""What a commit brings on itself fails it with the reason, before anything of it runs, and blocks its merge."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from ci.queue.options import JobOptions
from tests.ci.runner.test_runner import Gate, gate
from tests.fakes.git_remote import PROGRAM, SAYS, GitRemote

pytestmark = pytest.mark.service

__all__ = ["gate"]

PLACE = "kernel/qkv_proj_rope"


def planted(remote: GitRemote, path: str, mode: str, digest: str = "") -> str:
    """A commit with one more entry."""
    blob = remote.blob("content")
    entries = {SAYS: ("100644", remote.blob("passed")), path: (mode, digest or blob)}
    return remote.plant(entries, remote.main, ref="refs/pull/7/head")


def too_many(remote: GitRemote) -> str:
    blob = remote.blob("content")
    entries = {f"{PLACE}/{number}": ("100644", blob) for number in range(2001)}
    return remote.plant(entries, remote.main, ref="refs/pull/7/head")


def without_a_program(remote: GitRemote) -> str:
    return remote.plant({"README.md": ("100644", remote.blob("x"))}, remote.main, ref="refs/pull/7/head")


REFUSED: dict[str, tuple[Callable[[GitRemote], str], str]] = {
    "a symbolic link": (lambda remote: planted(remote, f"{PLACE}/golden.so", "120000"), "symbolic link"),
    "a submodule": (lambda remote: planted(remote, f"{PLACE}/vendor", "160000", "a" * 40), "submodule"),
    "an odd path": (
        lambda remote: planted(remote, f"{PLACE}/a\u2028b.py", "100644"),
        "no path for a file",
    ),
    "a large file": (lambda remote: remote.pull(7, {PROGRAM: "x" * (9 << 20)}), "at most 8.4 MB"),
    "too many files": (too_many, "at most 2000"),
    "no program": (without_a_program, "where the kernel's program would be"),
    "history of its own": (lambda remote: remote.commit({SAYS: "passed"}, ref="refs/pull/7/head"), "in common"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_commit_that_cannot_be_judged_fails_with_its_reason(gate: Gate, name: str) -> None:
    make, reason = REFUSED[name]
    head = make(gate.remote)
    gate.queue(head)

    gate.work(gate.done)

    assert gate.jobs("state", "verdict", "attempts") == [("done", "failed", 1)]
    assert reason in gate.jobs("reason")[0]
    assert gate.checks() == [("completed", "failure")] and reason in gate.api.checks[1]["output"]["title"]
    assert not gate.api.mergeable(head)
    assert gate.runs() == []


def test_a_commit_over_the_fetch_limit_fails_at_once(gate: Gate) -> None:
    section = gate.config.runner.model_copy(update={"fetch_bytes": 1 << 20})
    gate.config = gate.config.model_copy(update={"runner": section})
    gate.queue(gate.remote.pull(7, {PROGRAM: os.urandom(2 << 20).hex()}))

    gate.work(gate.done)

    assert gate.jobs("verdict", "attempts") == [("failed", 1)]
    assert "larger than 1048576 bytes" in gate.jobs("reason")[0]


def test_an_unknown_case_in_a_command_fails_with_the_known_ones(gate: Gate) -> None:
    gate.queue(gate.remote.pull(7, {PROGRAM: "x"}))
    gate.set_jobs(options=JobOptions(cases=["flash-s9"]).model_dump_json())

    gate.work(gate.done)

    assert gate.jobs("verdict") == ["failed"]
    assert "no case flash-s9; it has: " in gate.jobs("reason")[0]


@pytest.mark.parametrize("path", ["jobs/sandbox/limits.py", "farm/cli/app.py", "setup.cfg", "kernel/other/program.py"])
def test_files_that_no_run_exercises_are_named_and_wait_for_an_approval(gate: Gate, path: str) -> None:
    head = gate.remote.pull(7, {path: "x", PROGRAM: "faster"})
    gate.queue(head)

    gate.work(gate.done)

    assert gate.jobs("state") == ["held"] and not gate.api.mergeable(head)
    assert path in gate.api.checks[1]["output"]["summary"]
    assert "no run exercises" in gate.jobs("reason")[0]


def test_documents_need_no_approval(gate: Gate) -> None:
    head = gate.remote.pull(7, {"README.md": "x", "docs/a/b.png": "x", PROGRAM: "faster"})
    gate.queue(head)

    gate.work(gate.done)

    assert gate.api.mergeable(head)


def test_more_names_than_anybody_reviews_fail_and_are_not_held_in_memory(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ci.runner.git_command.MOST_OUTPUT_BYTES", 1 << 10)
    blob = gate.remote.blob("content")
    names = {f"other/{'x' * 100}{number}": ("100644", blob) for number in range(20)}
    entries = {SAYS: ("100644", gate.remote.blob("passed")), **names}
    gate.queue(gate.remote.plant(entries, gate.remote.main, ref="refs/pull/7/head"))

    gate.work(gate.done)

    assert gate.jobs("verdict") == ["failed"]
    assert "changes so many files" in gate.jobs("reason")[0]


@pytest.mark.parametrize("path", [PLACE, "elsewhere"])
def test_a_tree_that_lists_as_gigabytes_fails_and_is_cut_off(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("ci.runner.git_mirror.MOST_NAMES_BYTES", 1 << 20)
    head = gate.remote.bomb(path, levels=9)
    gate.queue(head)

    gate.work(gate.done)

    assert gate.jobs("state", "verdict") == [("done", "failed")]
    assert not gate.api.mergeable(head) and gate.runs() == []


def test_huge_files_outside_the_program_are_not_read(gate: Gate) -> None:
    head = gate.remote.pull(7, {"data.bin": "x" * (40 << 20), PROGRAM: "faster"})
    gate.queue(head)

    gate.work(gate.done)

    assert gate.jobs("state") == ["held"] and "data.bin" in gate.jobs("reason")[0]
