"""What a commit with several targets is asked, and what their answers make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from farm.bisect.metrics import Wanted, make
from farm.bisect.targets import CommitMetric
from farm.model.bisect import Answer, MetricName
from jobs.records import Fault, TrialRecord
from tests.farm import evidence

VERDICT = CommitMetric(make(MetricName.VERDICT, noisy=False))
GOOD = evidence.trial("n/0", 0)
BAD = evidence.trial("n/0", 0, passed=False)
LOST = evidence.lost("n/0", 0, "hang", Fault.DEVICE)
Trial = Callable[[str, Wanted], TrialRecord]


def asked(metric: CommitMetric, targets: Sequence[str], answer: Trial) -> list[TrialRecord]:
    """Every trial that `metric` wants, as `answer` gives them."""
    trials: list[TrialRecord] = []
    while (wanted := metric.wanted(targets, trials)) is not None:
        trials.append(answer(*wanted).model_copy(update={"case": wanted[0]}))
    return trials


def answers(**ends: TrialRecord) -> tuple[list[TrialRecord], Answer, str]:
    """The trials of a commit whose targets end so, its answer and why."""
    trials = asked(VERDICT, list(ends), lambda target, wanted: ends[target])
    judged = VERDICT.judge(list(ends), trials, ())
    return trials, judged.answer, judged.reason


@pytest.mark.parametrize(
    ("ends", "answer", "reason"),
    [
        ({"a": GOOD, "b": GOOD}, Answer.GOOD, "2 targets are good"),
        ({"a": GOOD, "b": BAD}, Answer.BAD, "b: wrong: q"),
        ({"a": LOST, "b": BAD, "c": GOOD}, Answer.BAD, "b: wrong: q"),
        ({"a": LOST, "b": GOOD, "c": LOST}, Answer.SKIPPED, "a: it cannot be judged: hang on n/0; and 1 further"),
        ({"a": BAD}, Answer.BAD, "wrong: q"),
    ],
    ids=["good", "bad", "bad beats lost", "lost", "one"],
)
def test_the_gravest_answer_of_a_target_is_the_commits(
    ends: dict[str, TrialRecord], answer: Answer, reason: str
) -> None:
    _, found, why = answers(**ends)

    assert found is answer
    assert why.startswith(reason)


def test_nothing_is_run_after_a_target_that_is_bad() -> None:
    trials, _, _ = answers(a=GOOD, b=BAD, c=GOOD)

    assert [trial.case for trial in trials] == ["a", "b"]


def test_times_are_held_to_those_of_the_same_target_in_the_good_commit() -> None:
    metric = CommitMetric(make(MetricName.WALL, noisy=False))
    good = [evidence.trial("n/0", 0, wall_us=us, case=case) for case, us in (("a", 10.0), ("b", 100.0))]
    head = [evidence.trial("n/0", 0, wall_us=us, case=case) for case, us in (("a", 12.0), ("b", 90.0))]

    judged = metric.judge(["a", "b"], head, good)

    assert (judged.answer, judged.reason) == (Answer.BAD, "a: worse: 12.00 µs, 10.00 µs at the good commit")


def test_trials_on_another_device_come_last() -> None:
    metric = CommitMetric(make(MetricName.DETERMINISM, noisy=False))

    trials = asked(metric, ["a", "b"], lambda target, wanted: evidence.trial("n/0", wanted.repeat))

    own = [(case, repeat) for case in ("a", "b") for repeat in range(3)]
    assert [(trial.case, trial.repeat) for trial in trials] == [*own, ("a", 3), ("b", 3)]
