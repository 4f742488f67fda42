"""What a commit's trials answer: pure, so every kind of trial is tried here."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from farm.bisect.metrics import LOOKS, Metric, Wanted, make
from farm.model.bisect import Answer, MetricName
from jobs.records import Arm, ClaimRecord, Fault, TrialRecord
from kernel.clock import Clock
from tests.farm import evidence

GOOD_US = 100.0


def asked(metric: Metric, answer: Callable[[Wanted], TrialRecord]) -> list[TrialRecord]:
    """Every trial `metric` wants, as `answer` gives them."""
    trials: list[TrialRecord] = []
    while (wanted := metric.wanted(trials)) is not None:
        trials.append(answer(wanted).model_copy(update={"arm": wanted.program}))
    return trials


def timed(us: float) -> list[TrialRecord]:
    return [evidence.trial("n/0", 0, wall_us=us)]


@pytest.mark.parametrize(
    ("us", "answer"), [(100.0, Answer.GOOD), (99.0, Answer.GOOD), (100.02, Answer.BAD), (100.000001, Answer.GOOD)]
)
def test_on_an_exact_clock_the_good_commits_time_is_the_limit(us: float, answer: Answer) -> None:
    metric = make(MetricName.WALL, noisy=False)

    assert metric.wanted([]) == Wanted(Arm.HEAD, 0)
    assert metric.wanted(timed(us)) is None
    assert metric.judge(timed(us), timed(GOOD_US)).answer is answer


def test_the_good_commit_itself_is_good_once_it_has_a_time() -> None:
    metric = make(MetricName.WALL, noisy=False)

    assert metric.judge(timed(GOOD_US), ()).answer is Answer.GOOD
    assert metric.judge([evidence.trial("n/0", 0, wall_us=None)], ()).answer is Answer.SKIPPED


def test_tolerance_looks_at_outputs_and_at_what_was_never_written() -> None:
    metric = make(MetricName.TOLERANCE, noisy=False)
    unwritten = evidence.lost("n/0", 0, "unwritten-output", Fault.KERNEL)

    assert metric.judge([evidence.trial("n/0", 0)], ()).answer is Answer.GOOD
    wrong = metric.judge([evidence.trial("n/0", 0, passed=False)], ())
    assert (wrong.answer, wrong.reason) == (
        Answer.BAD,
        "out of tolerance: q: 1 of 4 elements (25.0%) is an outlier, 0 allowed",
    )
    assert metric.judge([unwritten], ()).answer is Answer.BAD


@pytest.mark.parametrize("name", [MetricName.WALL, MetricName.TOLERANCE, MetricName.DETERMINISM])
@pytest.mark.parametrize("noisy", [False, True])
def test_a_commit_that_does_not_build_or_is_lost_is_skipped_at_once(name: MetricName, noisy: bool) -> None:
    metric = make(name, noisy)
    for lost in (evidence.lost("n/0", 0, "compile", Fault.KERNEL), evidence.lost("n/0", 0, "hang")):
        trials = asked(metric, lambda wanted, lost=lost: lost)  # type: ignore[misc]

        assert len(trials) == 1
        judged = metric.judge(trials, timed(GOOD_US))
        assert judged.answer is Answer.SKIPPED
        assert trials[0].failure is not None
        assert trials[0].failure.message in judged.reason


def test_determinism_repeats_on_one_device_and_asks_a_second_one() -> None:
    metric = make(MetricName.DETERMINISM, noisy=False)

    def trials(digest: Callable[[int, str], str]) -> list[TrialRecord]:
        def answer(wanted: Wanted) -> TrialRecord:
            device = "n/1" if wanted.elsewhere else "n/0"
            return evidence.trial(device, wanted.repeat, digest=digest(wanted.repeat, device))

        return asked(metric, answer)

    steady = trials(lambda repeat, device: "d")
    races = trials(lambda repeat, device: f"d{repeat // 2}")
    depends = trials(lambda repeat, device: device)

    assert [(trial.repeat, trial.device) for trial in steady] == [(0, "n/0"), (1, "n/0"), (2, "n/0"), (3, "n/1")]
    assert metric.judge(steady, ()).answer is Answer.GOOD
    assert "the same bits in 3 repeats and on a second device (n/0 and n/1)" in metric.judge(steady, ()).reason
    assert metric.judge(races, ()).answer is metric.judge(depends, ()).answer is Answer.BAD
    assert "races: bits of q differ" in metric.judge(races, ()).reason
    assert "depends on the device: bits of q differ between n/0 and n/1" in metric.judge(depends, ()).reason


def test_determinism_without_a_second_device_says_so() -> None:
    metric = make(MetricName.DETERMINISM, noisy=False)
    alone = [evidence.trial("n/0", repeat) for repeat in range(3)]

    assert metric.judge(alone, ()).answer is Answer.GOOD
    assert "there was no second one" in metric.judge(alone, ()).reason
    assert metric.judge(alone[:2], ()).answer is Answer.SKIPPED


def noisy_trials(ratio: float, noise: float, seed: int) -> list[TrialRecord]:
    """Trials of a commit `ratio` times as slow, on a device with relative `noise`."""
    generator = random.Random(seed)

    def answer(wanted: Wanted) -> TrialRecord:
        factor = ratio if wanted.program is Arm.HEAD else 1.0
        us = GOOD_US * factor * (1 + generator.gauss(0, noise))
        return evidence.trial("n/0", wanted.repeat, wall_us=us, clock=Clock.MEASURED)

    return asked(make(MetricName.WALL, noisy=True), answer)


@pytest.mark.parametrize(("ratio", "answer"), [(1.0, Answer.GOOD), (1.1, Answer.BAD), (0.9, Answer.GOOD)])
def test_under_noise_both_commits_run_in_turn_and_the_gate_decides(ratio: float, answer: Answer) -> None:
    trials = noisy_trials(ratio, 0.005, seed=1)

    pairs = [(first.repeat, {first.arm, second.arm}) for first, second in zip(trials[::2], trials[1::2], strict=True)]
    assert pairs == [(number - 1, {Arm.HEAD, Arm.BASE}) for number in range(len(pairs))]
    assert trials[2].arm is not trials[4].arm  # who goes first changes
    assert len(pairs) - 1 in LOOKS
    assert make(MetricName.WALL, noisy=True).judge(trials, ()).answer is answer


def test_what_noise_hides_is_skipped_after_the_last_look() -> None:
    trials = noisy_trials(1.02, 0.05, seed=3)

    assert len(trials) == 2 * (LOOKS[-1] + 1)
    judged = make(MetricName.WALL, noisy=True).judge(trials, ())
    assert judged.answer is Answer.SKIPPED
    assert judged.reason.startswith("inconclusive")


def claiming(passed: bool, sha256: str = "", repeat: int = 0, device: str = "n/0") -> TrialRecord:
    """A trial of a suite's file, which says itself whether an output is right."""
    claim = ClaimRecord(passed=passed, sha256=sha256)
    return evidence.trial(device, repeat).model_copy(update={"outputs": {}, "claims": {"out": claim}})


def test_a_suites_file_is_judged_by_its_claims() -> None:
    tolerance, verdict = make(MetricName.TOLERANCE, noisy=False), make(MetricName.VERDICT, noisy=False)
    nothing = claiming(True).model_copy(update={"claims": {}})

    assert tolerance.judge([claiming(True)], ()).answer is Answer.GOOD
    assert tolerance.judge([claiming(False)], ()).answer is Answer.BAD
    assert verdict.judge([claiming(False)], ()).answer is Answer.BAD
    assert verdict.judge([claiming(True)], ()).answer is Answer.GOOD
    assert {each.judge([nothing], ()).answer for each in (tolerance, verdict)} == {Answer.SKIPPED}


@pytest.mark.parametrize(
    ("fault", "answer"), [(Fault.KERNEL, Answer.BAD), (Fault.DEVICE, Answer.SKIPPED), (Fault.FARM, Answer.SKIPPED)]
)
def test_only_a_fault_of_its_own_is_a_bad_verdict(fault: Fault, answer: Answer) -> None:
    metric = make(MetricName.VERDICT, noisy=False)

    assert metric.judge([evidence.lost("n/0", 0, "compile", fault)], ()).answer is answer
    assert metric.judge([evidence.trial("n/0", 0, passed=False)], ()).answer is Answer.BAD
    assert metric.wanted([claiming(True)]) is None


@pytest.mark.parametrize(
    ("last", "answer"), [("a", Answer.GOOD), ("b", Answer.BAD), ("", Answer.SKIPPED)], ids=["same", "other", "none"]
)
def test_the_bits_of_a_suites_outputs_are_compared_where_all_trials_have_them(last: str, answer: Answer) -> None:
    metric = make(MetricName.DETERMINISM, noisy=False)
    trials = [claiming(True, "a", repeat) for repeat in range(3)]

    assert metric.judge([*trials, claiming(True, last, 3, "n/1")], ()).answer is answer
