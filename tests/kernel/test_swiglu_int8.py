"""The SwiGLU kernel: its golden against the definition, and its guards."""

from __future__ import annotations

import pytest
import torch

from kernel.errors import GuardError
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
