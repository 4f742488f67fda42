"""Ending a session: everything in it, and nothing that has only the same number."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from farm.process import identity, termination


@pytest.fixture
def orphan() -> Iterator[tuple[identity.ProcessIdentity, identity.ProcessIdentity]]:
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
        leader, left = identity.of(shell.pid), identity.of(int(shell.stdout.readline()))
        shell.stdin.close()
        shell.wait()
        yield leader, left
        termination.end_session(leader, [left])


def test_a_leader_and_what_it_started_are_ended() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        leader, child = identity.of(shell.pid), identity.of(int(shell.stdout.readline()))

        termination.end_session(leader, [])

        assert leader.gone()
        assert child.gone()


def test_what_a_dead_leader_left_is_ended(orphan: tuple[identity.ProcessIdentity, identity.ProcessIdentity]) -> None:
    leader, left = orphan

    termination.end_session(leader, [left])

    assert left.gone()


def test_a_session_without_a_known_member_is_somebody_else_s(
    orphan: tuple[identity.ProcessIdentity, identity.ProcessIdentity],
) -> None:
    leader, left = orphan

    termination.end_session(leader, [dataclasses.replace(left, started=1)])

    assert not left.gone()


@pytest.mark.parametrize(
    "earlier",
    [lambda now: dataclasses.replace(now, started=1), lambda now: dataclasses.replace(now, boot="another boot")],
    ids=["of this boot", "of another boot"],
)
def test_a_reused_process_number_is_never_ended(
    earlier: Callable[[identity.ProcessIdentity], identity.ProcessIdentity],
) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        now = identity.of(stranger.pid)
        try:
            termination.end_session(earlier(now), [earlier(now)])

            assert not now.gone()
        finally:
            stranger.kill()


def test_what_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "POLITE_S", 0.2)
    with subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        began = time.monotonic()

        termination.end_session(identity.of(stubborn.pid), [])

        assert stubborn.wait(timeout=30) == -9
        assert time.monotonic() - began < termination.DEADLINE_S
