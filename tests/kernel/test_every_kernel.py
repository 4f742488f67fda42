"""What holds for every kernel of this repository: seeded inputs, tunings, history, space, budgets, refusals."""

from __future__ import annotations

import pytest
import torch

from farm.model.budgets import load_budget
from kernel.errors import TuningError, UnknownNameError
from kernel.registry import find_tunable, kernel_names
from kernel.spec import TunableKernel

KERNELS = [find_tunable(name) for name in ("qkv_proj_rope", "swiglu_int8", "paged_attention")]
EACH = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
EACH_CASE = pytest.mark.parametrize(
    ("kernel", "case"),
    [(kernel, case) for kernel in KERNELS for case in kernel.cases],
    ids=lambda value: value if isinstance(value, str) else value.name,
)


class Foreign:
    """A tuning of no kernel here."""

    def as_dict(self) -> dict[str, int | float | bool | str]:
        return {}


def test_these_are_all_that_are_registered_here() -> None:
    assert {kernel.name for kernel in KERNELS} <= set(kernel_names())


@EACH
def test_a_seed_gives_its_bits_and_another_seed_others(kernel: TunableKernel) -> None:
    first, again, other = (kernel.inputs("tiny", next(iter(kernel.input_sets)), seed) for seed in (1, 1, 2))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@EACH
def test_what_is_unknown_is_refused_by_name(kernel: TunableKernel) -> None:
    with pytest.raises(UnknownNameError, match="unknown input set 'nice'"):
        kernel.inputs("tiny", "nice", 0)
    with pytest.raises(UnknownNameError, match="unknown case 'huge'"):
        kernel.tuning("huge", {})
    with pytest.raises(TuningError, match="unknown tuning key 'speed'"):
        kernel.tuning("tiny", {"speed": "11"})
    with pytest.raises(TypeError, match="Foreign"):
        kernel.program("tiny", Foreign())


@EACH
def test_a_knob_of_zero_is_refused(kernel: TunableKernel) -> None:
    for knob, default in kernel.defaults().items():
        if isinstance(default, int) and not isinstance(default, bool):
            with pytest.raises(TuningError, match=knob):
                kernel.tuning("tiny", {knob: "0"})


@EACH_CASE
def test_every_case_has_a_budget_that_its_landed_time_keeps(kernel: TunableKernel, case: str) -> None:
    budget = load_budget(kernel.budgets(), "a2a3sim", case)

    assert budget is not None and budget.source
    assert budget.ceiling_us is not None and budget.ratchet_us is not None
    assert budget.ratchet_us < budget.ceiling_us


@EACH_CASE
def test_the_steps_lead_from_the_untuned_kernel_to_the_best(kernel: TunableKernel, case: str) -> None:
    assert {knob for step in kernel.steps(case) for knob in step.knobs} == set(kernel.untuned(case))
    assert kernel.tuning(case, kernel.untuned(case)) != kernel.tuning(case, {})


@EACH_CASE
def test_the_space_begins_with_the_best_known_point(kernel: TunableKernel, case: str) -> None:
    first = {key: values[0] for key, values in kernel.tuning_space(case).items()}

    assert kernel.tuning(case, first) == kernel.tuning(case, {})
    assert set(first) <= set(kernel.defaults())
