"""Ending a session: everything in it, and nothing that has only the same number."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from farm import owner, processes


@pytest.fixture
def orphan() -> Iterator[tuple[owner.Owner, owner.Owner]]:
    """A session whose leader has died, and the process that is left in it."""
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; read wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        leader, left = owner.of(shell.pid), owner.of(int(shell.stdout.readline()))
        shell.stdin.close()
        shell.wait()
        yield leader, left
        processes.end_session(leader, [left])


def test_a_leader_and_what_it_started_are_ended() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        leader, child = owner.of(shell.pid), owner.of(int(shell.stdout.readline()))

        processes.end_session(leader, [])

        assert leader.gone()
        assert child.gone()


def test_what_a_dead_leader_left_is_ended(orphan: tuple[owner.Owner, owner.Owner]) -> None:
    leader, left = orphan

    processes.end_session(leader, [left])

    assert left.gone()


def test_a_session_without_a_known_member_is_somebody_else_s(orphan: tuple[owner.Owner, owner.Owner]) -> None:
    leader, left = orphan

    processes.end_session(leader, [dataclasses.replace(left, started=1)])

    assert not left.gone()


@pytest.mark.parametrize(
    "earlier",
    [lambda now: dataclasses.replace(now, started=1), lambda now: dataclasses.replace(now, boot="another boot")],
    ids=["of this boot", "of another boot"],
)
def test_a_reused_process_number_is_never_ended(earlier: Callable[[owner.Owner], owner.Owner]) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        now = owner.of(stranger.pid)
        try:
            processes.end_session(earlier(now), [earlier(now)])

            assert not now.gone()
        finally:
            stranger.kill()


def test_what_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "POLITE_S", 0.2)
    with subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        began = time.monotonic()

        processes.end_session(owner.of(stubborn.pid), [])

        assert stubborn.wait(timeout=30) == -9
        assert time.monotonic() - began < processes.DEADLINE_S
