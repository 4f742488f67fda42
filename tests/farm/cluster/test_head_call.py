"""Calls to the head end: with an answer, an error, or a deadline, and Ctrl-C ends the wait."""

from __future__ import annotations

import subprocess
import sys

import pytest

from farm.cluster import head_call, head_watchdog
from farm.process.background_call import BackgroundCall


def test_an_answer_and_an_error_are_those_of_the_call() -> None:
    assert head_call.bounded("add", lambda one, two: one + two, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        head_call.bounded("divide", lambda: 1 / 0)


def ended(script: str) -> str:
    """What `script` prints in a process of its own: one that has left a call is not to be used any further."""
    head = "import os, signal, threading\nfrom farm.cluster import head_call\nnever = threading.Event()\n"
    done = subprocess.run(
        [sys.executable, "-c", head + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_call_without_an_answer_is_left() -> None:
    said = ended(
        "try: head_call.bounded('wait', never.wait, limit_s=0.1)\n"
        "except head_call.HeadSilentError as error: print(error, head_call.left())\n"
    )

    assert "did not answer within 0.1 s (asked to wait)" in said
    assert said.endswith("True\n")


@pytest.mark.parametrize(("lost_after_s", "answer_s"), [("45", 45.0), ("5", 30.0)])
def test_a_head_that_is_given_longer_to_come_back_is_waited_for_as_long(
    monkeypatch: pytest.MonkeyPatch, lost_after_s: str, answer_s: float
) -> None:
    waited: list[float] = []

    class Silent(BackgroundCall[None]):
        def ended(self, limit_s: float) -> bool:
            waited.append(limit_s)
            return True

    monkeypatch.setattr(head_call, "BackgroundCall", Silent)
    monkeypatch.setenv(head_watchdog.VARIABLE, lost_after_s)

    head_call.bounded("answer", lambda: None)

    assert waited == [answer_s]


def test_ctrl_c_ends_the_wait_and_the_process() -> None:
    said = ended(
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try: head_call.bounded('wait', never.wait, limit_s=600)\n"
        "except KeyboardInterrupt: print('ended', head_call.left())\n"
    )

    assert said == "ended True\n"
