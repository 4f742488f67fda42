"""Seeded inputs: the documented distribution and the sets built to break a kernel that passes on it.

Values are drawn in FP64 on the CPU and rounded to their dtype afterwards: the FP32 generator takes another path on
machines with other vector units, the FP64 one differs at most by an ulp of FP64, which the rounding hides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch

from kernel.errors import UnknownNameError
from kernel.qkv_proj_rope.shapes import INT8_AMAX_EPS, INT8_SCALE_MAX, Shape
from kernel.spec import Tensors

DOCUMENTED = "documented"

_ROPE_STEP = 1e-3  # radians between neighbouring entries of the documented tables
_ROWS_PER_DRAW = 256  # bounds the FP64 scratch of the largest weight
_OUTLIER = 3.0e4
_TIE_LEVEL = 10.0  # in standard deviations of qr: the tied pair is the largest of its row
_TIE_BITS = 7  # the tied quantisation scale is 2**7
_HUGE = 2.0**57  # D·_HUGE² stays below the largest FP32
_TINY_NORMAL, _SUBNORMAL = 2.0**-126, 2.0**-133

Draw = Callable[[Shape, torch.Generator], Tensors]


def draw(shape: Shape, input_set: str, seed: int) -> Tensors:
    """The inputs of `shape` from `input_set`. Raises `UnknownNameError`."""
    if input_set not in _SETS:
        raise UnknownNameError("input set", input_set, list(_SETS))
    _, build = _SETS[input_set]
    return build(shape, torch.Generator().manual_seed(seed))


def _normal(generator: torch.Generator, rows: int, columns: int, mean: float, divisor: float) -> torch.Tensor:
    """BF16 [rows, columns] of (N(0,1) + mean) / divisor."""
    out = torch.empty(rows, columns, dtype=torch.bfloat16)
    for start in range(0, rows, _ROWS_PER_DRAW):
        part = out[start : start + _ROWS_PER_DRAW]
        part.copy_(torch.randn(part.shape, generator=generator, dtype=torch.float64).add_(mean).div_(divisor))
    return out


def _quantised_columns(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-column symmetric INT8 of a BF16 [K, N] weight, and its FP32 [N] scale."""
    amax = torch.maximum(weight.amax(0), -weight.amin(0)).float().clamp_min(INT8_AMAX_EPS)
    gain = INT8_SCALE_MAX / amax
    quantised = torch.empty(weight.shape, dtype=torch.int8)
    for start in range(0, weight.shape[0], _ROWS_PER_DRAW):
        rows = slice(start, start + _ROWS_PER_DRAW)
        quantised[rows] = weight[rows].float().mul_(gain).round_().to(torch.int8)
    return quantised, 1.0 / gain


def _base(shape: Shape, generator: torch.Generator, mean: float) -> Tensors:
    """The operator's distribution with `mean` added to the standard normals of x, wq_a and wq_b."""
    x = _normal(generator, shape.t, shape.d, mean, 1.0)
    wq_a = _normal(generator, shape.d, shape.q_lora, mean, shape.d**0.5)
    wq_b, wq_b_scale = _quantised_columns(_normal(generator, shape.q_lora, shape.q_width, mean, shape.q_width**0.5))
    wkv = _normal(generator, shape.d, shape.head_dim, 0.0, shape.d**0.5)
    angle = torch.arange(shape.t * shape.rope_dim, dtype=torch.float64).view(shape.t, shape.rope_dim) * _ROPE_STEP
    return {
        "x": x.view(shape.b, shape.s, shape.d),
        "norm_w": torch.ones(shape.d),
        "wq_a": wq_a,
        "wq_b": wq_b,
        "wq_b_scale": wq_b_scale,
        "wkv": wkv,
        "rope_cos": angle.cos().bfloat16(),
        "rope_sin": angle.sin().bfloat16(),
        "gamma_cq": torch.ones(shape.q_lora, dtype=torch.bfloat16),
        "gamma_ckv": torch.ones(shape.head_dim, dtype=torch.bfloat16),
    }


def _documented(shape: Shape, generator: torch.Generator) -> Tensors:
    return _base(shape, generator, mean=-0.5)


def _zero_mean(shape: Shape, generator: torch.Generator) -> Tensors:
    return _base(shape, generator, mean=0.0)


def _random_gamma(shape: Shape, generator: torch.Generator) -> Tensors:
    inputs = _zero_mean(shape, generator)
    for name in ("norm_w", "gamma_cq", "gamma_ckv"):
        ones = inputs[name]
        inputs[name] = torch.randn(ones.shape, generator=generator, dtype=torch.float64).to(ones.dtype)
    return inputs


def _zero_row(shape: Shape, generator: torch.Generator) -> Tensors:
    inputs = _zero_mean(shape, generator)
    inputs["x"].view(shape.t, shape.d)[shape.t // 2] = 0.0
    return inputs


def _outlier(shape: Shape, generator: torch.Generator) -> Tensors:
    inputs = _zero_mean(shape, generator)
    inputs["x"].view(shape.t, shape.d)[shape.t // 2, shape.d // 3] = _OUTLIER
    return inputs


def _amax_tie(shape: Shape, generator: torch.Generator) -> Tensors:
    """Columns 1 and Q_LORA − 2 of wq_a are each other's negative; x leans along them, so they lead their row."""
    inputs = _zero_mean(shape, generator)
    loud = inputs["wq_a"][:, 1].clone()
    inputs["x"].add_(_TIE_LEVEL / loud.float().abs().sum() * torch.sign(loud))
    inputs["wq_a"][:, shape.q_lora - 2] = -loud
    return inputs


def _rounding_tie(shape: Shape, generator: torch.Generator) -> Tensors:
    """Every column of wq_a is ± the same column, so qr_b is ± gamma_cq, chosen halfway between two integers."""
    inputs = _zero_mean(shape, generator)
    sign = torch.randint(0, 2, (shape.q_lora,), generator=generator) * 2 - 1
    inputs["wq_a"] = (inputs["wq_a"][:, :1] * shape.d**0.5 * sign).bfloat16().contiguous()
    level = torch.randint(0, int(INT8_SCALE_MAX), (shape.q_lora,), generator=generator) + 0.5
    level[0] = INT8_SCALE_MAX
    inputs["gamma_cq"] = (level / 2**_TIE_BITS).bfloat16()
    return inputs


def _bf16_extremes(shape: Shape, generator: torch.Generator) -> Tensors:
    """Rows cycle through huge, mixed, smallest normal and subnormal magnitudes."""
    inputs = _zero_mean(shape, generator)
    x = inputs["x"].view(shape.t, shape.d)
    sign = torch.sign(x) + (x == 0)
    x[0::4] = _HUGE * sign[0::4]
    x[1::4, ::2] = (x[1::4, ::2] * 2.0**20).bfloat16()
    x[2::4] = _TINY_NORMAL * sign[2::4]
    x[3::4] = _SUBNORMAL * sign[3::4]
    return inputs


_SETS: Mapping[str, tuple[str, Draw]] = MappingProxyType(
    {
        DOCUMENTED: ("the operator's own distribution: N(0,1) - 0.5, gammas and norm_w one", _documented),
        "zero-mean": ("no common mean: a legal flip of one qr element shows in q", _zero_mean),
        "random-gamma": ("norm_w and both gammas N(0,1), of either sign: a forgotten one shows", _random_gamma),
        "zero-row": ("one token all zero: norms live on EPS, the quantisation on its floor", _zero_row),
        "outlier": ("one element of one token 30000: the rest of its row nearly vanishes", _outlier),
        "amax-tie": ("each row of qr has its amax twice, with both signs", _amax_tie),
        "rounding-tie": ("qr_b times its scale lies halfway between two integers: ties go to even", _rounding_tie),
        "bf16-extremes": ("rows of 2^57, of mixed magnitudes, of smallest normals, of subnormals", _bf16_extremes),
    }
)

INPUT_SETS: Mapping[str, str] = MappingProxyType({name: summary for name, (summary, _) in _SETS.items()})
