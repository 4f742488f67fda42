"""How often a budget on a noisy clock is judged wrongly, on synthetic devices; `python -m` this file for the table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from farm.gates.budget import compare_noisy
from farm.model.run import GateStatus
from farm.validation.state import MAX_REPEATS_NOISY

LIMIT_US = 545.0
REPEATS = 3
LOOKS = MAX_REPEATS_NOISY // REPEATS
NOISE = 0.02
DEVICES = (1, 2, 3, 4, 8, 16)


@dataclass(frozen=True)
class Rates:
    """Shares of runs that passed, failed and ended inconclusive, and the samples a device took until then."""

    passed: float
    failed: float
    inconclusive: float
    samples: float


def conclude(generator: np.random.Generator, devices: int, level: float, slow: float) -> tuple[GateStatus, int]:
    """One run of a kernel that takes `level` of its limit; one device takes `slow` times as long as the others."""
    us = LIMIT_US * level * np.exp(generator.normal(0, NOISE, (devices, MAX_REPEATS_NOISY)))
    us[0] *= slow
    for taken in range(REPEATS, MAX_REPEATS_NOISY + 1, REPEATS):
        samples = {str(number): row[:taken].tolist() for number, row in enumerate(us)}
        status = compare_noisy(samples, LIMIT_US, LOOKS).status
        if status is not GateStatus.INCONCLUSIVE:
            return status, taken
    return GateStatus.INCONCLUSIVE, MAX_REPEATS_NOISY


def rates(devices: int, level: float, tries: int, slow: float = 1.0) -> Rates:
    generator = np.random.default_rng([20261130, devices, round(1000 * level)])
    ends = [conclude(generator, devices, level, slow) for _ in range(tries)]
    counted = Counter(status for status, _ in ends)
    passed, failed, left = (
        counted[status] / tries for status in (GateStatus.PASSED, GateStatus.FAILED, GateStatus.INCONCLUSIVE)
    )
    return Rates(passed, failed, left, sum(taken for _, taken in ends) / tries)


@pytest.mark.parametrize("devices", DEVICES)
def test_a_kernel_one_percent_below_its_limit_hardly_ever_fails(devices: int) -> None:
    assert rates(devices, 0.99, tries=300).failed <= 0.01


@pytest.mark.parametrize("devices", DEVICES)
def test_a_kernel_at_its_limit_fails_and_passes_as_rarely_as_promised(devices: int) -> None:
    found = rates(devices, 1.0, tries=300)

    assert found.failed <= 0.05 + 0.03
    assert found.passed <= 0.05 + 0.03


@pytest.mark.parametrize("devices", DEVICES)
def test_a_kernel_five_percent_off_its_limit_is_told(devices: int) -> None:
    assert rates(devices, 1.05, tries=100).failed >= 0.95
    assert rates(devices, 0.95, tries=100).passed >= 0.95


def test_one_slow_device_among_eight_is_not_hidden_by_the_others() -> None:
    found = rates(8, 0.97, tries=100, slow=1.10)  # 6.7 % over the limit

    assert found.passed == 0
    assert found.failed >= 0.95


def table(tries: int) -> None:
    """Print what docs/numbers.md says."""
    for level in (0.95, 0.98, 0.99, 1.0, 1.01, 1.02, 1.05):
        for devices in DEVICES:
            found = rates(devices, level, tries)
            shares = " | ".join(f"{100 * share:.1f} %" for share in (found.passed, found.failed, found.inconclusive))
            print(f"| {level} | {devices} | {shares} | {found.samples:.1f} |", flush=True)
    for devices in DEVICES[1:]:
        found = rates(devices, 0.97, tries, slow=1.10)
        shares = " | ".join(f"{100 * share:.1f} %" for share in (found.passed, found.failed, found.inconclusive))
        print(f"| one at 1.067, else 0.97 | {devices} | {shares} | {found.samples:.1f} |", flush=True)


if __name__ == "__main__":
    table(2000)
