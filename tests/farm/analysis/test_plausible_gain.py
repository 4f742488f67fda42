"""What a commit may gain before a person looks at it."""

from __future__ import annotations

import pytest

from farm.analysis.plausible_gain import LEAST, MOST, LandedTime, gains, implausible, limit, unknown
from farm.model.run import GainRecord, MedianRecord, RunRecord
from kernel.clock import Clock
from tests.farm import samples
from tests.farm.evidence import CASE, OTHER, lost, trial


def gain(before_us: float | None = 100.0, after_us: float = 90.0, landed: int = 9, largest: float = 0.1) -> GainRecord:
    return GainRecord(
        case=CASE, clock=Clock.SIMULATED, before_us=before_us, after_us=after_us, landed=landed, largest_gain=largest
    )


def run(*gained: GainRecord) -> RunRecord:
    record = samples.from_commit()
    assert record.source is not None
    return record.model_copy(update={"source": record.source.model_copy(update={"gains": list(gained)})})


def medians(us: float | None) -> dict[str, MedianRecord]:
    return {
        CASE: MedianRecord(clock=Clock.SIMULATED, per_device={}, overall=us, mad_us=None, samples=[us] if us else [])
    }


def line(*us: float) -> list[LandedTime]:
    return [LandedTime(str(number), {CASE: each}) for number, each in enumerate(us)]


@pytest.mark.parametrize(
    ("largest", "allowed"), [(0.0, LEAST), (0.1, LEAST), (0.2, 0.3), (0.3, 0.45), (0.4, MOST), (0.9, MOST)]
)
def test_the_limit_follows_the_largest_gain_so_far_within_bounds(largest: float, allowed: float) -> None:
    assert limit(gain(largest=largest)) == pytest.approx(allowed)


@pytest.mark.parametrize(
    ("after_us", "held"), [(100.0, False), (130.0, False), (75.0, False), (74.9, True), (50.0, True), (1.0, True)]
)
def test_a_gain_beyond_it_is_implausible(after_us: float, held: bool) -> None:
    assert bool(implausible(run(gain(after_us=after_us)))) is held


def test_the_reason_has_the_numbers() -> None:
    assert implausible(run(gain(after_us=40.0, largest=0.2))) == [
        "tiny takes 40.00 µs instead of 100.00 µs, 60 % less; more than 30 % is implausible: "
        "the largest gain of 9 landed commits is 20 %"
    ]
    (alone,) = implausible(run(gain(after_us=40.0, landed=0, largest=0.0)))
    assert alone.endswith("no history of landed commits says otherwise")


def test_what_is_allowed_can_be_raised_and_lowered() -> None:
    assert implausible(run(gain(after_us=50.0)), 0.6) == []
    assert len(implausible(run(gain(after_us=80.0)), 0.1)) == 1


def test_a_first_measurement_is_said_and_not_held() -> None:
    first = run(gain(before_us=None, after_us=1.0, landed=0, largest=0.0))

    assert implausible(first) == []
    assert unknown(first) == [f"first measurement of {CASE}: there is no time to hold it against"]
    assert (implausible(samples.run()), unknown(samples.run())) == ([], [])


def test_the_merge_base_of_the_same_run_comes_before_older_times() -> None:
    base = [trial("d0", 0, wall_us=90.0), lost("d1", 0), trial("d0", 1, wall_us=10.0, case=OTHER)]

    (measured,) = gains(medians(45.0), base, line(100.0, 95.0), Clock.SIMULATED)
    (recalled,) = gains(medians(45.0), [], line(100.0, 95.0), Clock.SIMULATED)
    (first,) = gains(medians(45.0), [], [], Clock.SIMULATED)

    assert (measured.before_us, recalled.before_us, first.before_us) == (90.0, 95.0, None)


def test_the_largest_gain_is_that_of_one_commit_and_a_loss_is_none() -> None:
    (found,) = gains(medians(50.0), [], line(100.0, 90.0, 120.0, 96.0, 86.4), Clock.SIMULATED)

    assert found.landed == 5
    assert found.largest_gain == pytest.approx(0.2)
    assert gains(medians(50.0), [], line(100.0, 200.0), Clock.SIMULATED)[0].largest_gain == 0.0


def test_a_gain_that_nobody_believed_makes_none_plausible() -> None:
    forged = gains(medians(50.0), [], line(100.0, 90.0, 30.0, 100.0), Clock.SIMULATED)
    step_by_step = gains(medians(50.0), [], line(100.0, 76.0, 49.0), Clock.SIMULATED)

    assert [each.largest_gain for each in forged] == [pytest.approx(0.1)]
    assert [each.largest_gain for each in step_by_step] == [pytest.approx(27 / 76)]


def test_what_was_not_measured_has_no_gain() -> None:
    assert gains(medians(None), [], line(100.0), Clock.SIMULATED) == []
