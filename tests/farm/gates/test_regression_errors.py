"""How often the comparison with the merge base is wrong, on synthetic devices; `python -m` this file for the table.

A device has a speed of its own, drawn anew for each run with a spread of 26 % (what one public report saw between
jobs). Both programs then run on it in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.gates.regression import CONFIDENCE, RegressionAnswer, TimedProgram, compare
from farm.stats.bootstrap import ratio_interval
from kernel.clock import Clock

BASE_US = 540.0
DRIFT = 0.26
DEVICES = 3
LOOKS = (3, 6, 9, 12)  # rounds after which a run looks
TRIES = 100

Noise = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


def normal(share: float) -> Noise:
    """Normal with a standard deviation of `share`."""
    return lambda generator, shape: generator.normal(0, share, shape)


def heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Student's t with 2.5 degrees of freedom, half of it within 1 %: few outliers, but far ones."""
    return np.asarray(0.01 * generator.standard_t(2.5, shape) / 0.78)


def interrupted(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 % normal, and one trial in ten is disturbed: longer by 20 % or so."""
    disturbed = generator.random(shape) < 0.1
    return np.asarray(generator.normal(0, 0.01, shape) + disturbed * np.abs(generator.normal(0, 0.2, shape)))


NOISES: dict[str, Noise] = {
    "normal 1 %": normal(0.01),
    "normal 2 %": normal(0.02),
    "heavy tails": heavy,
    "1 in 10 disturbed": interrupted,
}


@dataclass(frozen=True)
class Rates:
    """What became of many comparisons."""

    answers: dict[RegressionAnswer, float]  # share of each
    rounds: float  # mean rounds a device until the answer


def times_of_run(
    noise: Noise, ratio: float, generator: np.random.Generator, devices: int = DEVICES
) -> NDArray[np.float64]:
    """Wall times [device, round, (base, head)] of one run."""
    speeds = np.exp(generator.normal(0, DRIFT, (devices, 1, 1)))
    times = BASE_US * speeds * np.exp(noise(generator, (devices, LOOKS[-1], 2)))
    return np.asarray(times * np.array([1.0, ratio]))


def arm(times: NDArray[np.float64]) -> TimedProgram:
    """`times` is [device, round]."""
    return TimedProgram(
        Clock.MEASURED, {f"d{index}": dict(enumerate(map(float, rounds))) for index, rounds in enumerate(times)}
    )


def conclude(times: NDArray[np.float64], allowed: float) -> tuple[RegressionAnswer, int]:
    """The first answer that is not inconclusive, and the rounds it took; inconclusive after the last look."""
    for rounds in LOOKS:
        found = compare(arm(times[:, :rounds, 0]), arm(times[:, :rounds, 1]), allowed, noisy=True)
        assert found is not None
        if found.answer is not RegressionAnswer.INCONCLUSIVE:
            return found.answer, rounds
    return RegressionAnswer.INCONCLUSIVE, LOOKS[-1]


def rates(noise: Noise, ratio: float, allowed: float, tries: int = TRIES, devices: int = DEVICES) -> Rates:
    """Shares of answers over `tries` runs."""
    generator = np.random.default_rng(20261124)
    ends = [conclude(times_of_run(noise, ratio, generator, devices), allowed) for _ in range(tries)]
    counted = Counter(answer for answer, _ in ends)
    return Rates(
        {answer: counted[answer] / tries for answer in RegressionAnswer}, sum(rounds for _, rounds in ends) / len(ends)
    )


def coverage(noise: Noise, rounds: int, tries: int) -> float:
    """Share of runs whose interval after `rounds` holds the true ratio."""
    generator = np.random.default_rng(20261125)
    held = 0
    for _ in range(tries):
        times = times_of_run(noise, 1.0, generator)[:, :rounds]
        found = ratio_interval({str(number): of_device.tolist() for number, of_device in enumerate(times)}, CONFIDENCE)
        held += found.low <= 1 <= found.high
    return held / tries


def over_limit(noise: Noise, ratio: float, drift: float, tries: int) -> float:
    """Share of 3-run medians of one device that are over a limit 2 % above the base's time."""
    generator = np.random.default_rng(20261126)
    speeds = np.exp(generator.normal(0, drift, (tries, 1)))
    medians = np.median(BASE_US * ratio * speeds * np.exp(noise(generator, (tries, 3))), axis=1)
    return float(np.mean(medians > 1.02 * BASE_US))


@pytest.mark.parametrize("noise", NOISES)
def test_an_unchanged_kernel_is_hardly_ever_called_worse(noise: str) -> None:
    assert rates(NOISES[noise], ratio=1.0, allowed=0.02).answers[RegressionAnswer.WORSE] <= 0.03


@pytest.mark.parametrize("noise", NOISES)
def test_five_percent_slower_is_hardly_ever_let_through(noise: str) -> None:
    found = rates(NOISES[noise], ratio=1.05, allowed=0.02).answers

    assert found[RegressionAnswer.BETTER_OR_EQUAL] <= 0.02
    assert found[RegressionAnswer.WORSE] >= (0.9 if noise.startswith("normal") else 0.6)


def test_an_unchanged_kernel_passes_on_a_quiet_device_after_few_rounds() -> None:
    found = rates(NOISES["normal 1 %"], ratio=1.0, allowed=0.02)

    assert found.answers[RegressionAnswer.BETTER_OR_EQUAL] >= 0.97
    assert found.rounds < 5


def test_two_percent_slower_is_told_from_one_percent_allowed() -> None:
    found = rates(NOISES["normal 1 %"], ratio=1.02, allowed=0.01).answers

    assert found[RegressionAnswer.WORSE] >= 0.85
    assert found[RegressionAnswer.BETTER_OR_EQUAL] <= 0.02


def test_the_noisier_the_device_the_more_rounds_it_takes() -> None:
    quiet, loud = (rates(NOISES[noise], ratio=1.0, allowed=0.02) for noise in ("normal 1 %", "normal 2 %"))

    assert loud.rounds > quiet.rounds + 1


@pytest.mark.parametrize("noise", NOISES)
def test_the_interval_holds_the_true_ratio(noise: str) -> None:
    assert coverage(NOISES[noise], rounds=6, tries=200) >= 0.95


def test_against_the_base_in_turn_is_better_than_three_runs_against_a_limit() -> None:
    noise = NOISES["normal 2 %"]
    false_alarm = over_limit(noise, ratio=1.0, drift=DRIFT, tries=1000)
    missed = 1 - over_limit(noise, ratio=1.05, drift=DRIFT, tries=1000)
    unchanged, slower = (rates(noise, ratio, allowed=0.02).answers for ratio in (1.0, 1.05))

    assert unchanged[RegressionAnswer.WORSE] < 0.1 * false_alarm
    assert slower[RegressionAnswer.BETTER_OR_EQUAL] < 0.1 * missed


def table(tries: int) -> None:
    """Print what docs/numbers-regression.md says."""
    for name, noise in NOISES.items():
        held = ", ".join(f"{rounds}: {100 * coverage(noise, rounds, tries):.1f} %" for rounds in LOOKS)
        print(f"{name}: the interval holds the ratio after rounds {held}", flush=True)
    for name, drift in ((name, drift) for drift in (0.0, DRIFT) for name in ("normal 1 %", "normal 2 %")):
        false_alarm, caught = (over_limit(NOISES[name], ratio, drift, 20 * tries) for ratio in (1.0, 1.05))
        print(f"| {name} | {drift:.0%} | {100 * false_alarm:.1f} % | {100 * (1 - caught):.1f} % |")
    for allowed in (0.01, 0.02):
        for name, noise in NOISES.items():
            for ratio in (1.0, 1.02, 1.05):
                found = rates(noise, ratio, allowed, tries)
                shares = " | ".join(f"{100 * found.answers[answer]:.1f} %" for answer in RegressionAnswer)
                print(f"| {allowed:.0%} | {name} | {ratio} | {shares} | {found.rounds:.1f} |", flush=True)


if __name__ == "__main__":
    table(1000)
