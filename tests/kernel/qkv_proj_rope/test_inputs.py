"""Every input set: determinism, the operator's shapes, and the property its one line promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kernel.errors import UnknownNameError
from kernel.qkv_proj_rope import KERNEL
from kernel.qkv_proj_rope.inputs import draw
from kernel.qkv_proj_rope.shapes import TINY
from kernel.spec import Tensors

SETS = list(KERNEL.input_sets)


def _draw(input_set: str, seed: int = 11) -> tuple[Tensors, Tensors]:
    inputs = KERNEL.inputs("tiny", input_set, seed)
    return inputs, KERNEL.golden("tiny", inputs)


def _rows(inputs: Tensors) -> torch.Tensor:
    return inputs["x"].float().flatten(0, 1)


def test_the_documented_set_comes_first() -> None:
    assert SETS[0] == "documented"


@pytest.mark.parametrize("input_set", SETS)
def test_inputs_have_the_specified_names_shapes_and_dtypes(input_set: str) -> None:
    inputs = KERNEL.inputs("tiny", input_set, seed=0)
    specs = KERNEL.input_specs("tiny")
    assert list(inputs) == [spec.name for spec in specs]
    for spec in specs:
        assert (tuple(inputs[spec.name].shape), inputs[spec.name].dtype) == (spec.shape, spec.dtype)
        assert inputs[spec.name].is_contiguous()


@pytest.mark.parametrize("input_set", SETS)
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(input_set: str) -> None:
    first, again, other = (KERNEL.inputs("tiny", input_set, seed) for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["wq_b"], other["wq_b"])


@pytest.mark.parametrize("input_set", SETS)
def test_golden_is_finite(input_set: str) -> None:
    _, golden = _draw(input_set)
    assert all(torch.isfinite(tensor.float()).all() for tensor in golden.values())


@pytest.mark.parametrize("input_set", SETS)
def test_a_single_token_can_be_drawn(input_set: str) -> None:
    inputs = draw(replace(TINY, b=1, s=1), input_set, seed=0)
    assert inputs["x"].shape == (1, 1, TINY.d)


def test_documented_values_follow_the_documented_distribution() -> None:
    inputs, _ = _draw("documented")
    assert inputs["x"].float().mean().item() == pytest.approx(-0.5, abs=0.05)
    assert inputs["x"].float().std().item() == pytest.approx(1.0, abs=0.05)
    assert inputs["wq_a"].float().mean().item() * 512**0.5 == pytest.approx(-0.5, abs=0.02)
    assert inputs["wkv"].float().mean().item() == pytest.approx(0.0, abs=1e-3)
    assert inputs["wq_b"].abs().amax(0).min() == 127
    assert inputs["rope_cos"][0, 1].item() == torch.tensor(1e-3).cos().bfloat16().item()
    for name in ("norm_w", "gamma_cq", "gamma_ckv"):
        assert (inputs[name] == 1).all()


def test_zero_mean_has_no_common_mean() -> None:
    inputs, _ = _draw("zero-mean")
    assert abs(inputs["x"].float().mean().item()) < 0.05


def test_random_gamma_has_both_signs_in_each_weight() -> None:
    inputs, _ = _draw("random-gamma")
    for name in ("norm_w", "gamma_cq", "gamma_ckv"):
        assert (inputs[name] > 0).any() and (inputs[name] < 0).any()


def test_zero_row_lives_on_the_amax_floor() -> None:
    inputs, golden = _draw("zero-row")
    row = int(torch.nonzero((_rows(inputs) == 0).all(1)).item())
    assert not golden["qr"][row].any() and not golden["q"][row].any()
    assert golden["qr_scale"][row].item() == pytest.approx(1e-4 / 127, rel=1e-6)


def test_outlier_is_one_element_far_above_the_rest() -> None:
    inputs, _ = _draw("outlier")
    sizes = _rows(inputs).abs().flatten().sort(descending=True).values
    assert sizes[0] > 1000 * sizes[1]


def test_amax_tie_reaches_its_amax_with_both_signs_in_every_row() -> None:
    _, golden = _draw("amax-tie")
    assert ((golden["qr"] == 127).any(1) & (golden["qr"] == -127).any(1)).all()


def test_rounding_tie_quantises_halves_to_even() -> None:
    _, golden = _draw("rounding-tie")
    assert (golden["qr_scale"] == 2.0**-7).all()
    assert (golden["qr"].abs()[:, 0] == 127).all()
    assert (golden["qr"][:, 1:] % 2 == 0).all()


def test_bf16_extremes_spans_the_exponents() -> None:
    inputs, _ = _draw("bf16-extremes")
    sizes = _rows(inputs).abs()
    assert sizes.max() == 2.0**57 and sizes.min() == 2.0**-133


def test_an_unknown_input_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="documented"):
        KERNEL.inputs("tiny", "nonsense", seed=0)


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="flash-s2"):
        KERNEL.inputs("nonsense", "documented", seed=0)
