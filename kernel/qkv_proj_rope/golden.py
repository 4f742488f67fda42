"""The reference: plain torch with the operator's rounding points, and the tolerances outputs are held to.

Every elementwise step is FP32. The sums (matrix products and means of squares) are taken in FP64 and rounded to FP32
once: that is FP32 accumulation without its order, so the result does not depend on how many threads or which vector
width summed it, except where an FP64 sum lands within 1e-16 of an FP32 rounding boundary. The INT8 product is exact,
see `int8_matmul`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from kernel.errors import TensorError
from kernel.qkv_proj_rope.shapes import EPS, INT8_AMAX_EPS, INT8_SCALE_MAX, Shape
from kernel.spec import Tensors, Tolerance

TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "q": Tolerance(atol=1e-4, rtol=1 / 128, outlier_share=0.005),
        "kv": Tolerance(atol=1e-4, rtol=1 / 128, outlier_share=0.005),
        "qr": Tolerance(atol=1.0, rtol=0.0, outlier_share=0.0),
        "qr_scale": Tolerance(atol=2.5e-5, rtol=5e-3, outlier_share=0.005),
    }
)

# 1024 products of magnitude at most 128·128 sum to at most 2^24, the largest range in which FP32 holds every integer.
_EXACT_FP32_TERMS = 1024


def golden(shape: Shape, inputs: Tensors) -> Tensors:
    """All four outputs for `inputs`, end to end."""
    token_x = attn_norm(inputs["x"].reshape(shape.t, shape.d), inputs["norm_w"])
    qr, qr_scale = quantise(rms_norm(_matmul(token_x, inputs["wq_a"])) * inputs["gamma_cq"].float())
    kv = rms_norm(_matmul(token_x, inputs["wkv"])) * inputs["gamma_ckv"].float()
    return {
        "q": query(shape, inputs, qr, qr_scale),
        "kv": rope_tail(kv, inputs, shape),
        "qr": qr,
        "qr_scale": qr_scale,
    }


def staged(shape: Shape, inputs: Tensors, reference: Tensors, actual: Tensors) -> Tensors:
    """`reference` with `q` recomputed from the run's own `qr` and `qr_scale`.

    A `qr` that is off by one is legal, but where the mean of the projections is zero it moves about 5 % of that row of
    `q` past 1/128. Feeding the run's `qr` back separates the two stages; `qr` itself is still held to `reference`.
    """
    qr, qr_scale = actual["qr"], actual["qr_scale"]
    if qr.dtype != torch.int8 or qr.shape != (shape.t, shape.q_lora):
        raise TensorError(f"qr is {qr.dtype} {tuple(qr.shape)}, expected torch.int8 {(shape.t, shape.q_lora)}")
    if qr_scale.dtype != torch.float32 or qr_scale.shape != (shape.t, 1):
        raise TensorError(f"qr_scale is {qr_scale.dtype} {tuple(qr_scale.shape)}, expected {(shape.t, 1)}")
    return {**reference, "q": query(shape, inputs, qr.cpu(), qr_scale.cpu())}


def attn_norm(x: torch.Tensor, norm_w: torch.Tensor) -> torch.Tensor:
    """token_x = bf16(x · rsqrt(mean(x²) + EPS) · norm_w); `x` is BF16 [T, D], the result too."""
    return (rms_norm(x.float()) * norm_w).bfloat16()


def rms_norm(values: torch.Tensor) -> torch.Tensor:
    """FP32 `values` over the root of their mean square along the last axis.

    Written as 1/sqrt, two correctly rounded operations: `rsqrt` differs between CPUs in its last bit.
    """
    mean_square = values.double().square().mean(-1, keepdim=True).float()
    return values * (1.0 / torch.sqrt(mean_square + EPS))


def quantise(qr_f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Per-row symmetric INT8 of FP32 `qr_f` [T, Q_LORA]: qr INT8 [T, Q_LORA] and qr_scale FP32 [T, 1].

    Both the scale and the integers are taken from the BF16-rounded value; ties round to even.
    """
    qr_b = qr_f.bfloat16().float()
    scale = INT8_SCALE_MAX / qr_b.abs().amax(-1, keepdim=True).clamp_min(INT8_AMAX_EPS)
    qr = torch.round(qr_b * scale).to(torch.int32).half().to(torch.int8)
    return qr, 1.0 / scale


def query(shape: Shape, inputs: Tensors, qr: torch.Tensor, qr_scale: torch.Tensor) -> torch.Tensor:
    """q BF16 [T, H, HEAD_DIM] from qr INT8 [T, Q_LORA] and qr_scale FP32 [T, 1]."""
    q_f = int8_matmul(qr, inputs["wq_b"]) * qr_scale * inputs["wq_b_scale"]
    return rope_tail(rms_norm(q_f.view(shape.t, shape.h, shape.head_dim)), inputs, shape)


def int8_matmul(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """INT8 [M, K] @ INT8 [K, N] as FP32 [M, N]: the exact integer sum, rounded to FP32 once.

    FP32 products over at most 1024 terms are exact in any order of summation, so the fast FP32 matmul serves; chunks
    are added in FP64, exact up to 2^53.
    """
    starts = range(0, left.shape[1], _EXACT_FP32_TERMS)
    parts = [_fp32_columns(left, k) @ right[k : k + _EXACT_FP32_TERMS].float() for k in starts]
    if len(parts) == 1:
        return parts[0]
    total = parts[0].double()
    for part in parts[1:]:
        total += part
    return total.float()


def _fp32_columns(left: torch.Tensor, start: int) -> torch.Tensor:
    return left[:, start : start + _EXACT_FP32_TERMS].float()


def rope_tail(values: torch.Tensor, inputs: Tensors, shape: Shape) -> torch.Tensor:
    """FP32 `values` [T, ..., HEAD_DIM] as BF16 with interleaved RoPE on the last ROPE_DIM of each vector.

    even' = even·cos − odd·sin, odd' = even·sin + odd·cos, from the first ROPE_HALF columns of the tables.
    """
    lead = (shape.t,) + (1,) * (values.dim() - 2) + (shape.rope_half,)
    cos = inputs["rope_cos"][:, : shape.rope_half].float().view(lead)
    sin = inputs["rope_sin"][:, : shape.rope_half].float().view(lead)
    out = values.bfloat16()
    even, odd = values[..., shape.nope_dim :: 2], values[..., shape.nope_dim + 1 :: 2]
    out[..., shape.nope_dim :: 2] = (even * cos - odd * sin).bfloat16()
    out[..., shape.nope_dim + 1 :: 2] = (even * sin + odd * cos).bfloat16()
    return out


def _matmul(token_x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """BF16 @ BF16 accumulated in FP64 and rounded to FP32."""
    return (token_x.double() @ weight.double()).float()
