"""How often the determinism gate blames the wrong one, on synthetic devices; `python -m` this file for the table."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from farm.gates.determinism import DeterminismGate, other_card_look, second_look, suspect_devices
from farm.gates.protocol import Evidence
from farm.model.run import GateStatus
from jobs.records import TrialRecord
from tests.farm.evidence import CASE, evidence, trial

REPEATS = 3
DEVICES = (2, 3, 4, 8, 16)
OTHER_CARDS = 2  # that are free when devices disagree
BAD = 0  # the position of the bad card, where there is one

Chance = Callable[[], float]
Truth = Callable[[int, Chance], str]  # device and a source of chance → the bits of one trial


def _races(probability: float) -> Truth:
    return lambda device, chance: f"odd{int(1e6 * chance())}" if chance() < probability else "same"


def _flips(probability: float) -> Truth:
    return lambda device, chance: "flipped" if device == BAD and chance() < probability else "same"


# What is true → whether the program is at fault.
TRUTHS: dict[str, tuple[Truth, bool]] = {
    "a good program": (lambda device, chance: "same", False),
    "races in 1 of 2 trials": (_races(0.5), True),
    "races in 1 of 10 trials": (_races(0.1), True),
    "races in 1 of 50 trials": (_races(0.02), True),
    "other bits on each device": (lambda device, chance: f"of {device}", True),
    "other bits on each second device": (lambda device, chance: f"of {device % 2}", True),
    "one card always wrong": (_flips(1.0), False),
    "one card wrong in 3 of 10 trials": (_flips(0.3), False),
    "one card wrong in 1 of 10 trials": (_flips(0.1), False),
    "other bits on one device of all": (_flips(1.0), True),
}


@dataclass(frozen=True)
class Rates:
    """Shares of runs that passed, blamed the program, and were undecided; and those that named the bad card alone."""

    passed: float
    blamed: float
    undecided: float
    card: float


@functools.lru_cache(maxsize=10_000)
def _trial(device: int, repeat: int, bits: str) -> TrialRecord:
    return trial(f"n0/{device}", repeat, digest=bits)


def conclude(generator: np.random.Generator, devices: int, truth: Truth) -> tuple[GateStatus, frozenset[str]]:
    """One run with its second look, and looks on two other cards: the gate's status, and whom it suspects."""
    first = [(device, repeat) for device in range(devices) for repeat in range(REPEATS)]
    trials = [_trial(device, repeat, truth(device, generator.random)) for device, repeat in first]
    found: Evidence = evidence(trials)
    for device in sorted(second_look(found).get(CASE, ())):
        number = int(device.partition("/")[2])
        again = range(REPEATS, 2 * REPEATS)
        trials += [_trial(number, repeat, truth(number, generator.random)) for repeat in again]
    held = {f"n0/{device}" for device in range(devices)}
    for another in range(devices, devices + OTHER_CARDS):
        asked = other_card_look(evidence(trials)).get(CASE, frozenset()) & held
        if not asked:
            break
        held.remove(min(asked))
        trials += [_trial(another, repeat, truth(another, generator.random)) for repeat in range(REPEATS)]
    found = evidence(trials)
    return DeterminismGate().judge(found).status, suspect_devices(found)


def rates(name: str, devices: int, tries: int) -> Rates:
    truth, _ = TRUTHS[name]
    generator = np.random.default_rng([20261130, devices, list(TRUTHS).index(name)])
    ends = [conclude(generator, devices, truth) for _ in range(tries)]
    statuses = Counter(status for status, _ in ends)
    named = sum(suspects == {f"n0/{BAD}"} for _, suspects in ends)
    passed, failed, errored = (
        statuses[each] / tries for each in (GateStatus.PASSED, GateStatus.FAILED, GateStatus.ERRORED)
    )
    return Rates(passed, failed, errored, named / tries)


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("name", [name for name, (_, guilty) in TRUTHS.items() if not guilty])
def test_a_program_without_fault_is_never_blamed(name: str, devices: int) -> None:
    assert rates(name, devices, tries=60).blamed == 0


@pytest.mark.parametrize("devices", DEVICES)
def test_a_good_program_passes(devices: int) -> None:
    assert rates("a good program", devices, tries=5).passed == 1


@pytest.mark.parametrize("devices", DEVICES)
def test_a_race_in_each_second_trial_is_blamed_or_at_least_never_passes(devices: int) -> None:
    found = rates("races in 1 of 2 trials", devices, tries=60)

    assert found.passed <= 0.05
    assert found.blamed >= 0.9


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("name", ["other bits on each device", "other bits on each second device"])
def test_a_program_that_depends_on_the_device_is_blamed(name: str, devices: int) -> None:
    assert rates(name, devices, tries=5).blamed == 1


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("name", ["one card always wrong", "other bits on one device of all"])
def test_a_device_that_is_odd_alone_is_named_and_blamed_for_nothing(name: str, devices: int) -> None:
    found = rates(name, devices, tries=5)

    assert (found.undecided, found.card) == (1, 1)


def table(tries: int) -> None:
    """Print what docs/numbers-evidence.md says."""
    for name in TRUTHS:
        for devices in DEVICES:
            found = rates(name, devices, tries)
            shares = (found.passed, found.blamed, found.undecided, found.card)
            print(f"| {name} | {devices} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |", flush=True)


if __name__ == "__main__":
    table(1000)
