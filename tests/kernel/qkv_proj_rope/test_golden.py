"""The golden against a formula written a second time, in FP64 and token by token, and its rounding points."""

from __future__ import annotations

import math

import pytest
import torch

from kernel.errors import TensorError
from kernel.qkv_proj_rope import KERNEL, golden
from kernel.qkv_proj_rope.shapes import TINY
from kernel.spec import Tensors


def _bf16(values: torch.Tensor) -> torch.Tensor:
    return values.to(torch.bfloat16).double()


def _formula(inputs: Tensors) -> dict[str, torch.Tensor]:
    """The operator token by token in FP64, RoPE as a complex rotation, rounding only where the operator rounds."""
    w = {name: tensor.double() for name, tensor in inputs.items()}
    tokens = w["x"].flatten(0, 1)
    results: dict[str, list[torch.Tensor]] = {"q": [], "kv": [], "qr": [], "qr_scale": []}
    for t, row in enumerate(tokens):
        angle = torch.complex(w["rope_cos"][t, :32], w["rope_sin"][t, :32])

        def unit(v: torch.Tensor) -> torch.Tensor:
            return v / math.sqrt((v @ v).item() / v.numel() + 1e-6)

        def turn(v: torch.Tensor, angle: torch.Tensor = angle) -> torch.Tensor:
            pairs = torch.view_as_complex(v[-64:].reshape(32, 2).contiguous()) * angle
            return _bf16(torch.cat([v[:-64], torch.view_as_real(pairs).flatten()]))

        token = _bf16(unit(row) * w["norm_w"])
        qr_b = _bf16(unit(token @ w["wq_a"]) * w["gamma_cq"])
        step = max(1e-4, qr_b.abs().max().item()) / 127.0
        qr = torch.round(qr_b / step)
        heads = ((qr @ w["wq_b"]) * step * w["wq_b_scale"]).reshape(4, 512)
        results["qr"].append(qr)
        results["qr_scale"].append(torch.tensor([step], dtype=torch.float64))
        results["q"].append(torch.stack([turn(unit(head)) for head in heads]))
        results["kv"].append(turn(unit(token @ w["wkv"]) * w["gamma_ckv"]))
    return {name: torch.stack(rows) for name, rows in results.items()}


@pytest.mark.parametrize("input_set", ["documented", "zero-mean", "random-gamma", "zero-row", "outlier"])
def test_golden_agrees_with_an_independent_formula(input_set: str) -> None:
    inputs = KERNEL.inputs("tiny", input_set, seed=7)
    actual, expected = KERNEL.golden("tiny", inputs), _formula(inputs)
    flips = (actual["qr"].double() - expected["qr"]).abs()
    assert flips.max() <= 1 and (flips != 0).double().mean() < 0.002
    torch.testing.assert_close(actual["qr_scale"].double(), expected["qr_scale"], rtol=5e-3, atol=0)
    whole_rows = (flips == 0).all(1)
    assert whole_rows.sum() >= 8
    for name in ("q", "kv"):
        torch.testing.assert_close(
            actual[name][whole_rows].double(), expected[name][whole_rows], rtol=1 / 128, atol=1e-4
        )


def test_golden_has_the_specified_shapes_and_dtypes() -> None:
    outputs = KERNEL.golden("tiny", KERNEL.inputs("tiny", "documented", seed=0))
    specs = KERNEL.output_specs("tiny")
    assert list(outputs) == [spec.name for spec in specs]
    for spec in specs:
        assert (tuple(outputs[spec.name].shape), outputs[spec.name].dtype) == (spec.shape, spec.dtype)


def test_quantisation_takes_amax_from_the_bf16_rounded_value() -> None:
    above = 1.0 + 2.0**-10  # rounds to 1 in BF16
    qr, scale = golden.quantise(torch.tensor([[above, 0.5]]))
    assert qr.tolist() == [[127, 64]]  # 0.5 * 127 = 63.5, a tie that goes to even
    assert scale.item() == (1.0 / torch.tensor(127.0)).item()


def test_quantisation_rounds_ties_to_even() -> None:
    qr, scale = golden.quantise(torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]]))
    assert qr.tolist() == [[127, 0, 2, 2, 0, -2, -2]]
    assert scale.item() == 1.0


def test_a_row_of_zeros_is_quantised_at_the_floor() -> None:
    qr, scale = golden.quantise(torch.zeros(1, 8))
    assert not qr.any()
    assert scale.item() == pytest.approx(1e-4 / 127, rel=1e-6)


def test_attn_norm_multiplies_by_the_weight_before_it_rounds() -> None:
    x = torch.full((1, 4), 1.0, dtype=torch.bfloat16)
    weight = torch.full((4,), 1.0 + 2.0**-8 + 2.0**-12)  # just above a tie: a second rounding would lose it
    assert golden.attn_norm(x, weight)[0, 0].item() == 1.0 + 2.0**-7


def test_rope_rotates_interleaved_pairs_and_leaves_the_rest() -> None:
    values = torch.arange(512, dtype=torch.float32).repeat(TINY.t, 1)
    quarter = {
        "rope_cos": torch.zeros(TINY.t, 64, dtype=torch.bfloat16),
        "rope_sin": torch.ones(TINY.t, 64, dtype=torch.bfloat16),
    }
    out = golden.rope_tail(values, quarter, TINY)
    assert torch.equal(out[:, :448], values[:, :448].bfloat16())
    assert torch.equal(out[:, 448::2], -values[:, 449::2].bfloat16())
    assert torch.equal(out[:, 449::2], values[:, 448::2].bfloat16())


def test_rope_reads_only_the_first_half_of_the_tables() -> None:
    inputs = KERNEL.inputs("tiny", "documented", seed=0)
    reference = KERNEL.golden("tiny", inputs)
    for name in ("rope_cos", "rope_sin"):
        inputs[name][:, 32:] = float("nan")
    assert torch.equal(KERNEL.golden("tiny", inputs)["q"], reference["q"])


@pytest.mark.parametrize("depth", [1, 1023, 1024, 1025, 1536, 4096])
def test_int8_product_is_exact(depth: int) -> None:
    generator = torch.Generator().manual_seed(depth)
    left = torch.randint(-128, 128, (3, depth), generator=generator, dtype=torch.int8)
    right = torch.randint(-128, 128, (depth, 5), generator=generator, dtype=torch.int8)
    left[0], right[:, 0] = -128, -128  # the largest sum there is
    exact = (left.long().unsqueeze(-1) * right.long()).sum(1)
    assert torch.equal(golden.int8_matmul(left, right), exact.float())


def test_golden_does_not_depend_on_the_number_of_threads() -> None:
    inputs = KERNEL.inputs("tiny", "zero-mean", seed=3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = KERNEL.golden("tiny", inputs)
    finally:
        torch.set_num_threads(threads)
    together = KERNEL.golden("tiny", inputs)
    assert all(torch.equal(alone[name], together[name]) for name in alone)


def test_documented_inputs_are_compared_end_to_end() -> None:
    inputs = KERNEL.inputs("tiny", "documented", seed=0)
    reference = KERNEL.golden("tiny", inputs)
    flipped = {**reference, "qr": reference["qr"] ^ 1}
    assert KERNEL.expected("tiny", "documented", inputs, reference, flipped) == reference


def test_other_inputs_compare_q_with_the_run_s_own_qr() -> None:
    inputs = KERNEL.inputs("tiny", "zero-mean", seed=0)
    reference = KERNEL.golden("tiny", inputs)
    flipped = {**reference, "qr": reference["qr"] ^ 1}
    expected = KERNEL.expected("tiny", "zero-mean", inputs, reference, flipped)
    assert expected["qr"] is reference["qr"]
    assert not torch.equal(expected["q"], reference["q"])
    same = KERNEL.expected("tiny", "zero-mean", inputs, reference, reference)
    assert torch.equal(same["q"], reference["q"])


def test_a_staged_comparison_refuses_a_misshapen_qr() -> None:
    inputs = KERNEL.inputs("tiny", "zero-mean", seed=0)
    reference = KERNEL.golden("tiny", inputs)
    with pytest.raises(TensorError, match="qr is"):
        KERNEL.expected("tiny", "zero-mean", inputs, reference, {**reference, "qr": reference["qr"][:, 1:]})
