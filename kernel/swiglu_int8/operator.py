"""The operator: shapes, seeded inputs, the reference in plain torch, and what outputs are held to.

gate | up = (x @ w) · x_scale · w_scale        exact INT32 product, then FP32
h         = bf16(gate / (1 + exp(−gate)) · up)
y, y_scale = h in symmetric INT8 per token     scale from the BF16 value, ties to even
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from kernel.errors import UnknownNameError
from kernel.spec import Case, Tensors, TensorSpec, Tolerance

INT8_MAX = 127.0
AMAX_FLOOR = 1e-4  # of a token's largest magnitude before it is quantised

CASES: Mapping[str, Case] = MappingProxyType(
    {
        "tiny": Case("tiny", "16 tokens, D=256, F=128: the same code path in seconds", {"T": 16, "D": 256, "F": 128}),
        "flash-t16": Case("flash-t16", "16 tokens of a 4096-wide model", {"T": 16, "D": 4096, "F": 2048}),
        "flash-t128": Case("flash-t128", "128 tokens of a 4096-wide model", {"T": 128, "D": 4096, "F": 2048}),
    }
)

INPUT_SETS: Mapping[str, str] = MappingProxyType(
    {
        "documented": "standard normal activations and weights, quantised; gates of unit variance",
        "steep": "gates of standard deviation 16: exp(-gate) runs from 0 to 1e20 and beyond",
        "zero-row": "one token all zero: its quantisation lives on the floor of the amax",
    }
)

TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        "y": Tolerance(atol=1.0, rtol=0.0, outlier_share=0.0),
        "y_scale": Tolerance(atol=1e-6, rtol=2.0**-7, outlier_share=0.0),  # one step of the BF16 its amax is rounded to
    }
)

_STEEPNESS = {"steep": 16.0}


def input_specs(dims: Mapping[str, int]) -> tuple[TensorSpec, ...]:
    """The operator's inputs, in its order: T tokens of width D, weights for 2·F columns, gate before up."""
    tokens, width, columns = dims["T"], dims["D"], 2 * dims["F"]
    return (
        TensorSpec("x", (tokens, width), torch.int8),
        TensorSpec("x_scale", (tokens, 1), torch.float32),
        TensorSpec("w", (width, columns), torch.int8),
        TensorSpec("w_scale", (1, columns), torch.float32),
    )


def output_specs(dims: Mapping[str, int]) -> tuple[TensorSpec, ...]:
    """The operator's outputs, in its order."""
    return (
        TensorSpec("y", (dims["T"], dims["F"]), torch.int8),
        TensorSpec("y_scale", (dims["T"], 1), torch.float32),
    )


def draw(dims: Mapping[str, int], input_set: str, seed: int) -> Tensors:
    """Seeded inputs. Drawn in FP64, which no vector unit of the host changes. Raises `UnknownNameError`."""
    if input_set not in INPUT_SETS:
        raise UnknownNameError("input set", input_set, list(INPUT_SETS))
    generator = torch.Generator().manual_seed(seed)
    activations = torch.randn(dims["T"], dims["D"], generator=generator, dtype=torch.float64)
    weights = torch.randn(dims["D"], 2 * dims["F"], generator=generator, dtype=torch.float64) / dims["D"] ** 0.5
    weights[:, : dims["F"]] *= _STEEPNESS.get(input_set, 1.0)
    if input_set == "zero-row":
        activations[dims["T"] // 2] = 0.0
    x, x_scale = _quantised(activations, dim=1)
    w, w_scale = _quantised(weights, dim=0)
    return {"x": x, "x_scale": x_scale, "w": w, "w_scale": w_scale}


def golden(inputs: Tensors) -> Tensors:
    """Both outputs. The product of integers is exact in FP64, the sigmoid is taken there and rounded to FP32 once."""
    exact = inputs["x"].double() @ inputs["w"].double()
    projected = exact.float() * inputs["x_scale"] * inputs["w_scale"]
    gate, up = projected.chunk(2, dim=-1)
    silu = (gate.double() * torch.sigmoid(gate.double())).float()
    h = (silu * up).bfloat16().float()
    gain = INT8_MAX / h.abs().amax(-1, keepdim=True).clamp_min(AMAX_FLOOR)
    return {"y": torch.round(h * gain).to(torch.int8), "y_scale": 1.0 / gain}


def _quantised(values: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric INT8 of FP64 `values` along `dim`, and the FP32 scale that takes it back."""
    gain = INT8_MAX / values.abs().amax(dim, keepdim=True).clamp_min(AMAX_FLOOR)
    return torch.round(values * gain).to(torch.int8), (1.0 / gain).float()
