"""One task of the per-head stage: dequantise, RMS norm and RoPE of a few heads for a block of tokens.

The row's scale is not multiplied in. With v = sums · wq_b_scale and q_f = v · s, where s is the row's scale,
q_f / sqrt(mean(q_f²) + EPS) = v / sqrt(mean(v²) + EPS / s²): the same value with one operation on [rows, 1] in place of
one on every element. Imported only when a program is built.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pypto

from kernel.qkv_proj_rope.guards import FIXPIPE_SHIFT, FP16, head_load_rows
from kernel.qkv_proj_rope.rope import Tables, load_tables, rotate
from kernel.qkv_proj_rope.shapes import EPS, Shape
from kernel.qkv_proj_rope.tuning import ProjectionTuning

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
class HeadTile:
    """Rows of one head that were loaded together."""

    row: int  # first of them within the task
    rows: int
    target: int  # the same row in q
    column: int  # first column of the head in q


@dataclass(frozen=True, slots=True)
class HeadSources:
    """Where a task reads from and writes to."""

    sums: Tensor  # [T, H·HEAD_DIM], INT32, or FP16 times 2**-FIXPIPE_SHIFT
    qr_scale: Tensor  # FP32 [T, 1]
    scales: Tensor  # FP32 [1, H·HEAD_DIM], per output channel
    table: Tensor  # see `rope.build_tables`
    q: Tensor  # BF16 [T, H·HEAD_DIM], written


def factor(values: Tensor, extents: list[int], implicit: bool) -> Tensor:
    """`values` [rows, 1] or [1, columns] as a factor of a tensor of `extents`: as it is, or expanded to all of it."""
    return values if implicit else pypto.expand_clone(values, extents)


def record_heads(block: HeadBlock, sources: HeadSources, shape: Shape, tuning: ProjectionTuning) -> None:
    """Record the task of `block`; the caller keeps it one task."""
    width, group = shape.head_dim, tuning.head_group
    load_rows, tile_rows = head_load_rows(shape, tuning), min(tuning.head_tile_rows, block.rows)
    tables = load_tables(sources.table, block.row, block.rows, block.rows, tile_rows)
    eps = _row_eps(block, sources, tuning)
    pypto.set_vec_tile_shapes(1, block.heads * width)
    scales = pypto.view(sources.scales, [1, block.heads * width], [0, block.head * width])
    if tuning.join_scale_loads:
        scales = pypto.mul(scales, 1.0)  # an operation over all heads makes the compiler load them with one copy
    for first, row in itertools.product(range(0, block.heads, group), range(0, block.rows, load_rows)):
        column = (block.head + first) * width
        at = [block.row + row, column]
        loaded = _load(sources.sums, [load_rows, group * width], at, tile_rows, tuning.join_row_loads)
        row_eps = pypto.view(eps, [load_rows, 1], [row, 0])
        for index in range(group):
            value = pypto.view(loaded, [load_rows, width], [0, index * width])
            scale = pypto.view(scales, [1, width], [0, (first + index) * width])
            normed = _normed(value, scale, row_eps, tile_rows, tuning.implicit_broadcast)
            place = HeadTile(row, load_rows, block.row + row, column + index * width)
            _write(normed, tables, sources.q, place, shape, tile_rows, tuning.rope_gather)


def _load(sums: Tensor, extents: list[int], at: list[int], tile_rows: int, joined: bool) -> Tensor:
    """The part of `sums` at `at` as FP32, `joined` with one copy; cast in tiles of `tile_rows`, which stay set."""
    part = pypto.view(sums, extents, at)
    if joined and extents[0] > tile_rows:
        pypto.set_vec_tile_shapes(*extents)
        part = pypto.mul(part, 1.0)  # an operation over all rows: one copy. A cast would hold them twice as wide
    pypto.set_vec_tile_shapes(tile_rows, extents[1])
    return pypto.cast(part, _F32)


def _row_eps(block: HeadBlock, sources: HeadSources, tuning: ProjectionTuning) -> Tensor:
    """EPS over the square of what the sums still lack per row, FP32 [rows, 1]."""
    unit = 2.0**FIXPIPE_SHIFT if tuning.q_staging == FP16 else 1.0
    pypto.set_vec_tile_shapes(block.rows, 1)
    scale = pypto.mul(pypto.view(sources.qr_scale, [block.rows, 1], [block.row, 0]), unit)
    return pypto.div(pypto.full([block.rows, 1], EPS, _F32), pypto.mul(scale, scale))


def _normed(sums: Tensor, scale: Tensor, eps: Tensor, tile_rows: int, implicit: bool) -> Tensor:
    """FP32 `sums` [rows, HEAD_DIM] times `scale` [1, HEAD_DIM], over the root of its rows' mean square plus `eps`.

    `eps` is FP32 [rows, 1]; operations on as much take all rows at once.
    """
    rows, width = sums.shape
    pypto.set_vec_tile_shapes(tile_rows, width)
    values = pypto.mul(sums, factor(scale, [rows, width], implicit))
    total = pypto.sum(pypto.mul(values, values), -1, keepdim=True)
    pypto.set_vec_tile_shapes(rows, 1)
    root = pypto.sqrt(pypto.add(pypto.mul(total, 1.0 / width), eps))
    inverse = pypto.div(pypto.full([rows, 1], 1.0, _F32), root)
    pypto.set_vec_tile_shapes(tile_rows, width)
    return pypto.mul(values, factor(inverse, [rows, width], implicit))


def _write(
    normed: Tensor, tables: Tables, q: Tensor, place: HeadTile, shape: Shape, tile_rows: int, gather: bool
) -> None:
    """Round one normed head to BF16 and write it, its tail rotated."""
    nope, width = shape.nope_dim, shape.rope_dim
    head = pypto.view(normed, [place.rows, nope], [0, 0])
    pypto.assemble(pypto.cast(head, _BF16), [place.target, place.column], q)
    for row in range(0, place.rows, tile_rows):
        tail = pypto.view(normed, [tile_rows, width], [row, nope])
        cos, sin = (pypto.view(part, [tile_rows, width], [place.row + row, 0]) for part in (tables.cos, tables.sin))
        rotated = rotate(tail, Tables(cos, sin, tables.swap), tile_rows, gather)
        pypto.assemble(pypto.cast(rotated, _BF16), [place.target + row, place.column + nope], q)
