"""One task of the per-head stage: dequantise, RMS norm and RoPE of a few heads for a block of tokens.

The row's scale is not multiplied in. With v = sums · wq_b_scale and q_f = v · s, where s is the row's scale,
q_f / sqrt(mean(q_f²) + EPS) = v / sqrt(mean(v²) + EPS / s²): the same value with one operation on [rows, 1] in place of
one on every element. Imported only when a program is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pypto

from kernel.qkv_proj_rope.guards import FIXPIPE_SHIFT
from kernel.qkv_proj_rope.rope import Tables, load_tables, rotate
from kernel.qkv_proj_rope.shapes import EPS, Shape
from kernel.qkv_proj_rope.tuning import FP16, Tuning

Tensor = Any  # pypto.Tensor, which has no type information

_F32, _BF16 = pypto.DT_FP32, pypto.DT_BF16


@dataclass(frozen=True, slots=True)
class HeadBlock:
    """The tokens and heads of one task."""

    row: int  # first token
    rows: int
    head: int  # first head
    heads: int


@dataclass(frozen=True, slots=True)
class HeadSources:
    """Where a task reads from and writes to."""

    sums: Tensor  # [T, H·HEAD_DIM], INT32, or FP16 times 2**-FIXPIPE_SHIFT
    qr_scale: Tensor  # FP32 [T, 1]
    scales: Tensor  # FP32 [1, H·HEAD_DIM], per output channel
    table: Tensor  # see `rope.build_tables`
    q: Tensor  # BF16 [T, H·HEAD_DIM], written


def record_heads(block: HeadBlock, sources: HeadSources, shape: Shape, tuning: Tuning) -> None:
    """Record the task of `block`; the caller keeps it one task."""
    rows, width = block.rows, shape.head_dim
    tile_rows, group = min(tuning.head_tile_rows, rows), tuning.head_group
    tables = load_tables(sources.table, block.row, rows, rows)
    eps = _row_eps(block, sources, tuning)
    pypto.set_vec_tile_shapes(1, block.heads * width)
    scales = pypto.view(sources.scales, [1, block.heads * width], [0, block.head * width])
    scales = pypto.mul(scales, 1.0)  # an operation over all heads makes the compiler load their scales with one copy
    for first in range(0, block.heads, group):
        pypto.set_vec_tile_shapes(tile_rows, group * width)
        column = (block.head + first) * width
        loaded = pypto.cast(pypto.view(sources.sums, [rows, group * width], [block.row, column]), _F32)
        pypto.set_vec_tile_shapes(tile_rows, width)
        for index in range(group):
            value = pypto.view(loaded, [rows, width], [0, index * width])
            scale = pypto.view(scales, [1, width], [0, (first + index) * width])
            normed = _normed(pypto.mul(value, scale), eps)
            _write(normed, tables, sources.q, block.row, column + index * width, shape)


def _row_eps(block: HeadBlock, sources: HeadSources, tuning: Tuning) -> Tensor:
    """EPS over the square of what the sums still lack per row, FP32 [rows, 1]."""
    unit = 2.0**FIXPIPE_SHIFT if tuning.q_staging == FP16 else 1.0
    pypto.set_vec_tile_shapes(block.rows, 1)
    scale = pypto.mul(pypto.view(sources.qr_scale, [block.rows, 1], [block.row, 0]), unit)
    return pypto.div(pypto.full([block.rows, 1], EPS, _F32), pypto.mul(scale, scale))


def _normed(values: Tensor, eps: Tensor) -> Tensor:
    """FP32 [rows, HEAD_DIM] over the root of its rows' mean square plus `eps` [rows, 1]."""
    rows, width = values.shape
    mean_square = pypto.mul(pypto.sum(pypto.mul(values, values), -1, keepdim=True), 1.0 / width)
    root = pypto.sqrt(pypto.add(mean_square, eps))
    return pypto.mul(values, pypto.div(pypto.full([rows, 1], 1.0, _F32), root))


def _write(normed: Tensor, tables: Tables, q: Tensor, row: int, column: int, shape: Shape) -> None:
    """Round one normed head to BF16 and write it, its tail rotated."""
    rows, nope = normed.shape[0], shape.nope_dim
    head = pypto.view(normed, [rows, nope], [0, 0])
    pypto.assemble(pypto.cast(head, _BF16), [row, column], q)
    tail = pypto.view(normed, [rows, shape.rope_dim], [0, nope])
    pypto.assemble(pypto.cast(rotate(tail, tables), _BF16), [row, column + nope], q)
