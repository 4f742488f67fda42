"""What one test on one device proves."""

from __future__ import annotations

import pytest

from farm.testing.foreign.attempt import Attempt, AttemptEnding, Judgement, Phase, Place, judged
from kernel.harness.process_tree import ProcessExit, Stop
from tests.farm.testing.foreign.small_profile import small

PLACE = Place("n/4", 4, "2")


def of(*phases: Phase, ended: ProcessExit | None = None) -> Judgement:
    return judged(Attempt(PLACE, list(phases), ended), small(), 60.0)


def failed(message: str, when: str = "call", text: str = "") -> Judgement:
    return of(Phase(when, "failed", 0.0, message, text or f"E   {message}"), Phase("teardown", "passed"))


@pytest.mark.parametrize(
    ("message", "ending", "kind"),
    [
        ("assert 1 == 2", AttemptEnding.FAILED, "assert"),
        ("AssertionError: Tensor-likes are not close!", AttemptEnding.FAILED, "assert"),
        ("ValueError: no such tile", AttemptEnding.UNSURE, "unexplained-ValueError"),
        ("RuntimeError: sync_stream_pair: aicpu failed: 507018", AttemptEnding.UNSURE, "device-507018"),
        ("RuntimeError: rtSetDevice failed with code 507033", AttemptEnding.FAULT, "device-507033"),
        ("ModuleNotFoundError: No module named 'torch_npu'", AttemptEnding.FAULT, "platform-unavailable"),
        ("OSError: [Errno 28] No space left on device", AttemptEnding.FAULT, "disk-full"),
    ],
)
def test_a_comparison_is_the_tests_own_and_what_the_machine_says_is_not(
    message: str, ending: AttemptEnding, kind: str
) -> None:
    judgement = failed(message)

    assert (judgement.ending, judgement.kind) == (ending, kind)


def test_an_assertion_in_a_fixture_compares_nothing_of_the_test() -> None:
    assert failed("AssertionError: no device", when="setup").ending is AttemptEnding.UNSURE


def test_only_a_device_that_is_broken_for_sure_is_unfit_for_the_tests_behind() -> None:
    assert failed("RuntimeError: rtSetDevice failed with code 507033").unfit
    assert not failed("RuntimeError: sync_stream_pair: aicpu failed: 507018").unfit


def test_a_device_error_in_what_was_captured_goes_before_the_assertion_that_it_led_to() -> None:
    judgement = failed("assert False", text="E   assert False\nrtStreamSynchronize failed: 507014")

    assert (judgement.ending, judgement.kind) == (AttemptEnding.UNSURE, "device-507014")


@pytest.mark.parametrize(
    ("ended", "ending", "kind"),
    [
        (ProcessExit(None, Stop.TIME), AttemptEnding.UNSURE, "hang"),
        (ProcessExit(-11), AttemptEnding.UNSURE, "worker-died"),
        (ProcessExit(0), AttemptEnding.UNSURE, "worker-died"),
        (ProcessExit(None, Stop.QUOTA), AttemptEnding.UNSURE, "disk-quota"),
        (ProcessExit(None, Stop.DISK), AttemptEnding.FAULT, "disk-full"),
    ],
)
def test_a_test_under_which_its_process_ends_has_not_passed(
    ended: ProcessExit, ending: AttemptEnding, kind: str
) -> None:
    judgement = of(Phase("setup", "passed"), Phase("call", "passed"), ended=ended)

    assert (judgement.ending, judgement.kind) == (ending, kind)


def test_a_skipped_test_says_why() -> None:
    skipped = of(Phase("setup", "skipped", text="Skipped: needs A5"), Phase("teardown", "passed"))

    assert (skipped.ending, skipped.message) == (AttemptEnding.SKIPPED, "Skipped: needs A5")
