"""Shapes of the operator: the FLASH and PRO presets, the small test shape, and every operand's shape and dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

import torch

from kernel.errors import UnknownNameError
from kernel.spec import Case, TensorSpec

EPS = 1e-6  # added to the mean square of every RMS norm
INT8_SCALE_MAX = 127.0
INT8_AMAX_EPS = 1e-4  # floor of a row's largest magnitude before it is quantised


@dataclass(frozen=True, slots=True)
class Shape:
    """Extents of one case; the names are the operator's own symbols, in lower case."""

    b: int  # decode batch
    s: int  # tokens per step
    d: int  # hidden size
    h: int  # attention heads
    head_dim: int  # nope_dim + rope_dim
    rope_dim: int
    q_lora: int  # width of the low-rank query

    @property
    def t(self) -> int:
        """Tokens in one call, B·S."""
        return self.b * self.s

    @property
    def nope_dim(self) -> int:
        """Leading elements of a head that are not rotated."""
        return self.head_dim - self.rope_dim

    @property
    def rope_half(self) -> int:
        """Rotated pairs of a head."""
        return self.rope_dim // 2

    @property
    def q_width(self) -> int:
        """Columns of the query projection, H·HEAD_DIM."""
        return self.h * self.head_dim


TINY = Shape(b=8, s=2, d=512, h=4, head_dim=512, rope_dim=64, q_lora=256)
FLASH = Shape(b=64, s=2, d=4096, h=64, head_dim=512, rope_dim=64, q_lora=1024)
PRO = Shape(b=64, s=2, d=7168, h=128, head_dim=512, rope_dim=64, q_lora=1536)

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "tiny": TINY,
        "flash-t1": replace(FLASH, b=1, s=1),
        "flash-t16": replace(FLASH, b=8, s=2),
        "flash-t32": replace(FLASH, b=16, s=2),
        "flash-s1": replace(FLASH, s=1),
        "flash-s2": FLASH,
        "pro-s2": PRO,
    }
)

_SUMMARIES = {
    "tiny": "4 heads, D=512, Q_LORA=256, T=16: the same code path in seconds",
    "flash-t1": "FLASH, one token",
    "flash-t16": "FLASH, 8 sequences of 2 tokens",
    "flash-t32": "FLASH, 16 sequences of 2 tokens",
    "flash-s1": "FLASH, 64 sequences of 1 token",
    "flash-s2": "FLASH, 64 sequences of 2 tokens: the case the budget speaks of",
    "pro-s2": "PRO, 64 sequences of 2 tokens",
}


def shape_of(case: str) -> Shape:
    """The shape of `case`. Raises `UnknownNameError`."""
    if case not in SHAPES:
        raise UnknownNameError("case", case, list(SHAPES))
    return SHAPES[case]


def cases() -> Mapping[str, Case]:
    """Every case by name, smallest first."""
    return MappingProxyType(
        {name: Case(name, _SUMMARIES[name], {k.upper(): v for k, v in asdict(s).items()}) for name, s in SHAPES.items()}
    )


def input_specs(shape: Shape) -> tuple[TensorSpec, ...]:
    """The operator's inputs, in its order."""
    t = shape.t
    return (
        TensorSpec("x", (shape.b, shape.s, shape.d), torch.bfloat16),
        TensorSpec("norm_w", (shape.d,), torch.float32),
        TensorSpec("wq_a", (shape.d, shape.q_lora), torch.bfloat16),
        TensorSpec("wq_b", (shape.q_lora, shape.q_width), torch.int8),
        TensorSpec("wq_b_scale", (shape.q_width,), torch.float32),
        TensorSpec("wkv", (shape.d, shape.head_dim), torch.bfloat16),
        TensorSpec("rope_cos", (t, shape.rope_dim), torch.bfloat16),
        TensorSpec("rope_sin", (t, shape.rope_dim), torch.bfloat16),
        TensorSpec("gamma_cq", (shape.q_lora,), torch.bfloat16),
        TensorSpec("gamma_ckv", (shape.head_dim,), torch.bfloat16),
    )


def output_specs(shape: Shape) -> tuple[TensorSpec, ...]:
    """The operator's outputs, in its order."""
    t = shape.t
    return (
        TensorSpec("q", (t, shape.h, shape.head_dim), torch.bfloat16),
        TensorSpec("kv", (t, shape.head_dim), torch.bfloat16),
        TensorSpec("qr", (t, shape.q_lora), torch.int8),
        TensorSpec("qr_scale", (t, 1), torch.float32),
    )
