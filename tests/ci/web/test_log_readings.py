"""What a profile reads is asked of a process of its own, within a bounded time, a bounded number at once."""

from __future__ import annotations

import re
import sys

import pytest

from ci.web.log_readings import BusyError, LogReadings
from farm.harness.log_reading import LogQuestion
from kernel.harness.profiles import text_of

SLOW = re.sub(r"(?m)^mode_name = .*$", "mode_name = '^(?P<mode>(a+)+)$'", text_of("pypto-lib"))
ENDLESS = LogQuestion(profile=SLOW, log="a" * 60 + "!\n")
PLAIN = LogQuestion(profile=text_of("pypto-lib"), log="[RUN]   'y' FAIL  shape=(1,)\n", exit_code=1)


def test_the_answer_is_that_of_the_reader() -> None:
    found = LogReadings().ask(PLAIN)

    assert (found.judgement, found.outcome, found.problem) == ("failed", "failed: y", "")


def test_a_pattern_that_never_ends_is_ended_and_named_as_the_reason() -> None:
    readings = LogReadings(limit_s=2)

    assert "its patterns need more than" in readings.ask(ENDLESS).problem


def test_where_as_many_as_may_be_are_asked_at_once_the_next_is_refused() -> None:
    with pytest.raises(BusyError):
        LogReadings(at_once=0, patience_s=0).ask(PLAIN)


def test_an_answer_that_was_ended_makes_place_for_the_next() -> None:
    readings = LogReadings(limit_s=0.01, at_once=1, patience_s=0)

    assert [readings.ask(PLAIN).problem[:12] for _ in range(2)] == ["its patterns"] * 2


@pytest.mark.parametrize(
    ("ends", "blamed"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "its patterns need more than"),
        ("bytearray(1 << 62)", "its patterns need more than"),
        ("raise SystemExit('no such module')", "which is no fault of the profile"),
        ("print('no answer')", "which is no fault of the profile"),
    ],
)
def test_a_process_that_fails_by_itself_is_not_blamed_on_the_patterns(ends: str, blamed: str) -> None:
    assert blamed in LogReadings(command=(sys.executable, "-c", ends)).ask(PLAIN).problem
