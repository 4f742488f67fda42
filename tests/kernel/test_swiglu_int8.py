"""The SwiGLU kernel: its golden against the definition, its guards, its budgets, and the tiny case through PyPTO."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from farm.budgets import load_budget
from kernel.errors import GuardError, TuningError, UnknownNameError
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.spec import Tensors
from kernel.swiglu_int8 import KERNEL
from kernel.tolerance import compare


def by_definition(inputs: Tensors) -> Tensors:
    """Both outputs in FP64 throughout, but for the BF16 rounding the operator asks for."""
    projected = (inputs["x"].double() * inputs["x_scale"].double()) @ (
        inputs["w"].double() * inputs["w_scale"].double()
    )
    gate, up = projected.chunk(2, dim=-1)
    h = (gate / (1 + torch.exp(-gate)) * up).bfloat16().double()
    gain = 127 / h.abs().amax(-1, keepdim=True).clamp_min(1e-4)
    return {"y": torch.round(h * gain).to(torch.int8), "y_scale": (1 / gain).float()}


@pytest.mark.parametrize("input_set", list(KERNEL.input_sets))
def test_the_golden_follows_the_definition(input_set: str) -> None:
    inputs = KERNEL.inputs("tiny", input_set, seed=3)
    golden, defined = KERNEL.golden("tiny", inputs), by_definition(inputs)

    assert all(compare(name, golden[name], defined[name], KERNEL.tolerances[name], "").passed for name in golden)
    assert (golden["y"] != defined["y"]).double().mean() < 0.01  # a BF16 tie may fall the other way
    assert int(golden["y"].abs().max()) == 127


def test_a_token_of_zeros_lives_on_the_floor() -> None:
    inputs = KERNEL.inputs("tiny", "zero-row", seed=0)
    golden = KERNEL.golden("tiny", inputs)

    assert not inputs["x"][8].any() and not golden["y"][8].any()
    assert golden["y_scale"][8].item() == pytest.approx(1e-4 / 127)


def test_a_seed_gives_its_bits_and_an_unknown_set_none() -> None:
    first, again, other = (KERNEL.inputs("tiny", "documented", seed) for seed in (1, 1, 2))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["w"], other["w"])
    with pytest.raises(UnknownNameError, match="unknown input set 'nice'"):
        KERNEL.inputs("tiny", "nice", 0)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"n_tile": "48"}, "4096 and 48"),
        ({"k_tile": "768"}, "4096 and 768"),
        ({"k_l0": "384"}, "1024 and 384"),
        ({"rows": "3"}, "128 and 3"),
        ({"rows": "8"}, "activation UB bytes"),
        ({"n_tile": "512"}, "L0B bytes"),
        ({"k_tile": "4096"}, "L1 bytes"),
    ],
)
def test_a_tiling_that_does_not_fit_is_refused(overrides: dict[str, str], words: str) -> None:
    with pytest.raises(GuardError, match=words):
        KERNEL.tuning("flash-t128", overrides)


def test_a_knob_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(TuningError, match="unknown tuning key 'tile'"):
        KERNEL.tuning("tiny", {"tile": "1"})
    with pytest.raises(TuningError, match="'rows' is 0"):
        KERNEL.tuning("tiny", {"rows": "0"})


@pytest.mark.parametrize("case", list(KERNEL.cases))
def test_every_case_has_a_tuning_and_a_budget(case: str) -> None:
    budget = load_budget(KERNEL.budgets(), "a2a3sim", case)

    assert KERNEL.tuning(case, {}).as_dict()
    assert budget is not None and budget.ceiling_us and budget.ratchet_us
    assert budget.ratchet_us < budget.ceiling_us


@pytest.mark.sim
@pytest.mark.parametrize("input_set", list(KERNEL.input_sets))
def test_the_tiny_case_is_right_and_as_fast_as_it_landed(input_set: str, sim_cache: Path, tmp_path: Path) -> None:
    platform = A2A3Sim()
    platform.prepare(sim_cache)
    inputs = KERNEL.inputs("tiny", input_set, seed=1)
    outputs = {
        spec.name: torch.full(spec.shape, math.nan if spec.dtype.is_floating_point else -128, dtype=spec.dtype)
        for spec in KERNEL.output_specs("tiny")
    }

    execution = platform.run(KERNEL, "tiny", KERNEL.tuning("tiny", {}), inputs, outputs, 0, tmp_path)

    for name, expected in KERNEL.golden("tiny", inputs).items():
        assert compare(name, outputs[name], expected, KERNEL.tolerances[name], "golden").passed, name
    budget = load_budget(KERNEL.budgets(), "a2a3sim", "tiny")
    assert budget is not None and budget.ratchet_us is not None
    assert execution.wall is not None and execution.wall.us <= budget.ratchet_us
