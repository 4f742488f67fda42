"""Every kernel of this repository on leased devices: right on every input set, as fast as it landed, the same bits.

Not collected with the other tests, whose own clusters would meet the one that these lease from. Run as a suite of its
own, `farm test tests/devices`; `tests/farm/testing/test_device_suite.py` does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm.model.budgets import load_budget
from farm.testing.device_pool import TestDevice
from farm.testing.plugin import assert_deterministic, assert_matches_golden
from jobs.records import TrialRecord
from kernel.registry import find_kernel

# Input sets of each; the further ones of qkv_proj_rope are the golden's tests' matter, and cost seconds each here.
INPUT_SETS = {
    "qkv_proj_rope": ("documented", "random-gamma", "zero-row", "rounding-tie"),
    "swiglu_int8": tuple(find_kernel("swiglu_int8").input_sets),
    "paged_attention": tuple(find_kernel("paged_attention").input_sets),
}
# One worker for each kernel, under `--dist loadgroup`: each worker that runs it compiles it.
INPUTS = [
    pytest.param(kernel, input_set, marks=pytest.mark.xdist_group(kernel))
    for kernel, sets in INPUT_SETS.items()
    for input_set in sets
]


@pytest.mark.farm(case="tiny")
@pytest.mark.parametrize(("kernel", "input_set"), INPUTS)
def test_the_tiny_case_is_right_and_as_fast_as_it_landed(
    kernel: str, input_set: str, farm_trial: Callable[..., TrialRecord]
) -> None:
    trial = farm_trial(kernel, input_set=input_set, seed=1)

    assert_matches_golden(trial)
    budget = load_budget(find_kernel(kernel).budgets(), "a2a3sim", "tiny")
    assert budget is not None and budget.ratchet_us is not None and trial.wall_us is not None
    assert trial.wall_us <= budget.ratchet_us


@pytest.mark.farm(case="tiny", devices=2)
@pytest.mark.xdist_group("two devices")
@pytest.mark.parametrize("kernel", INPUT_SETS)
def test_two_devices_give_the_same_bits(
    kernel: str, farm_trial: Callable[..., TrialRecord], farm_devices: list[TestDevice]
) -> None:
    trials = [farm_trial(kernel, on=device) for device in farm_devices]

    assert len({trial.device for trial in trials}) == 2
    assert_deterministic(trials)
