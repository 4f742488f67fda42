"""The operator's stages in PyPTO's tensor language. Imported only when a program is built.

A call here records operations on the graph being traced; loops over rows and heads are unrolled at build time. The
semantic label of each stage names its tasks in the profile.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypto

from kernel.qkv_proj_rope.guards import FIXPIPE_SHIFT, cube_rows
from kernel.qkv_proj_rope.rope import rotate_heads, rotate_rows
from kernel.qkv_proj_rope.shapes import EPS, INT8_AMAX_EPS, INT8_SCALE_MAX, Shape
from kernel.qkv_proj_rope.tuning import FP16, Tuning

Tensor = Any  # pypto.Tensor, which has no type information

_F32, _BF16, _F16 = pypto.DT_FP32, pypto.DT_BF16, pypto.DT_FP16
_I32, _I8 = pypto.DT_INT32, pypto.DT_INT8


@dataclass(frozen=True, slots=True)
class Operands:
    """The entry's parameters; shapes and dtypes as in the operator's table, `x` as [T, D]."""

    x: Tensor
    norm_w: Tensor
    wq_a: Tensor
    wq_b: Tensor
    wq_b_scale: Tensor
    wkv: Tensor
    rope_cos: Tensor
    rope_sin: Tensor
    gamma_cq: Tensor
    gamma_ckv: Tensor
    q: Tensor
    kv: Tensor
    qr: Tensor
    qr_scale: Tensor


def compute(operands: Operands, shape: Shape, tuning: Tuning) -> None:
    """Record the whole operator."""
    scopes = itertools.count(1)
    pypto.experimental.set_operation_options(combine_axis=True)
    for _ in pypto.loop(1, name="MAIN", idx_name="main"):
        token_x = _attn_norm(operands, shape, tuning)
        qr_f = _query_projection(token_x, operands, shape, tuning)
        qr, qr_scale = _qr_norm_quant(qr_f, operands, shape, tuning, scopes)
        sums = _q_projection(qr, operands, shape, tuning)
        _heads(sums, qr_scale, operands, shape, tuning, scopes)
        _kv(token_x, operands, shape, tuning)


def _inverse_rms(sum_squares: Tensor, count: int) -> Tensor:
    """1 / sqrt(sum_squares / count + EPS), FP32, for a sum over `count` elements."""
    root = pypto.sqrt(pypto.add(pypto.mul(sum_squares, 1.0 / count), EPS))
    return pypto.div(pypto.full(root.shape, 1.0, _F32), root)


def _sum_squares(values: Tensor, rows: int, width: int, partials: int) -> Tensor:
    """Sum of squares over the last axis of FP32 [rows, width], as `partials` independent sums added in order."""
    part = width // partials
    total = None
    for index in range(partials):
        piece = pypto.view(values, [rows, part], [0, index * part]) if partials > 1 else values
        partial = pypto.sum(pypto.mul(piece, piece), -1, keepdim=True)
        total = partial if total is None else pypto.add(total, partial)
    return total


def _attn_norm(operands: Operands, shape: Shape, tuning: Tuning) -> Tensor:
    """token_x = bf16(x · rsqrt(mean(x²) + EPS) · norm_w), BF16 [T, D]."""
    pypto.set_semantic_label("attn-norm")
    pypto.set_vec_tile_shapes(tuning.attn_norm_rows, shape.d)
    x = pypto.cast(operands.x, _F32)
    sum_squares = _sum_squares(x, shape.t, shape.d, tuning.attn_norm_partials)
    weight = pypto.reshape(operands.norm_w, [1, shape.d], inplace=True)
    return pypto.cast(pypto.mul(pypto.mul(x, _inverse_rms(sum_squares, shape.d)), weight), _BF16)


def _split_k_matmul(left: Tensor, weight: Tensor, shape: Shape, width: int, splits: int) -> Tensor:
    """BF16 [T, D] @ BF16 [D, width] as FP32, from `splits` partial products over D added in order."""
    depth = shape.d // splits
    total = None
    for index in range(splits):
        a = pypto.view(left, [shape.t, depth], [0, index * depth])
        b = pypto.view(weight, [depth, width], [index * depth, 0])
        partial = pypto.matmul(a, b, _F32)
        total = partial if total is None else pypto.add(total, partial)
    return total


def _set_projection_tiles(shape: Shape, tuning: Tuning, columns: int) -> None:
    rows, k_l0 = cube_rows(shape), tuning.proj_k_l0
    pypto.set_cube_tile_shapes([rows, rows], [k_l0, k_l0 * tuning.proj_k_stages], [columns, columns])


def _query_projection(token_x: Tensor, operands: Operands, shape: Shape, tuning: Tuning) -> Tensor:
    """token_x @ wq_a, FP32 [T, Q_LORA]."""
    pypto.set_semantic_label("wq_a")
    _set_projection_tiles(shape, tuning, tuning.proj_n_tile)
    pypto.set_vec_tile_shapes(tuning.qr_norm_rows, shape.q_lora)
    return _split_k_matmul(token_x, operands.wq_a, shape, shape.q_lora, tuning.split_k)


def _qr_norm_quant(
    qr_f: Tensor, operands: Operands, shape: Shape, tuning: Tuning, scopes: Iterator[int]
) -> tuple[Tensor, Tensor]:
    """RMS norm, BF16 rounding and per-row INT8: qr INT8 [T, Q_LORA] and qr_scale FP32 [T, 1], both also written out."""
    pypto.set_semantic_label("qr-norm")
    rows, width = shape.t, shape.q_lora
    pypto.set_vec_tile_shapes(tuning.qr_norm_rows, width)
    gamma = pypto.cast(pypto.reshape(operands.gamma_cq, [1, width], inplace=True), _F32)
    inverse = _inverse_rms(_sum_squares(qr_f, rows, width, tuning.qr_norm_partials), width)
    qr_b = pypto.cast(pypto.mul(pypto.mul(qr_f, inverse), gamma), _BF16)
    pypto.set_semantic_label("qr-quant")
    if not tuning.fold_amax:
        pypto.set_pass_options(sg_set_scope=next(scopes))  # a scope of its own never merges with the norm's tasks
    qr, qr_scale = _quantise(pypto.cast(qr_b, _F32), rows)
    pypto.set_pass_options(sg_set_scope=-1)
    pypto.assemble(qr, [0, 0], operands.qr)
    pypto.assemble(qr_scale, [0, 0], operands.qr_scale)
    return qr, qr_scale


def _quantise(qr_b: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """INT8 of BF16-valued FP32 [rows, Q_LORA] and its scale FP32 [rows, 1]; ties to even."""
    floor = pypto.full([rows, 1], INT8_AMAX_EPS, _F32)
    amax = pypto.maximum(pypto.amax(pypto.abs(qr_b), -1, keepdim=True), floor)
    gain = pypto.div(pypto.full([rows, 1], INT8_SCALE_MAX, _F32), amax)
    integers = pypto.cast(pypto.mul(qr_b, gain), _I32, pypto.CastMode.CAST_RINT)
    halves = pypto.cast(integers, _F16, pypto.CastMode.CAST_ROUND)  # exact: the only way from INT32 to INT8
    return pypto.cast(halves, _I8, pypto.CastMode.CAST_TRUNC), pypto.div(pypto.full([rows, 1], 1.0, _F32), gain)


def _q_projection(qr: Tensor, operands: Operands, shape: Shape, tuning: Tuning) -> Tensor:
    """qr @ wq_b [T, H·HEAD_DIM]: exact INT32, or FP16 of the sum times 2**-FIXPIPE_SHIFT."""
    pypto.set_semantic_label("q-proj")
    rows, columns = cube_rows(shape), tuning.q_proj_n_tile
    k_tiles = [tuning.q_proj_k_l0, shape.q_lora, tuning.q_proj_k_tile]  # L0, L1 for qr (whole rows), L1 for wq_b
    pypto.set_cube_tile_shapes([rows, rows], k_tiles, [columns, columns])
    if tuning.q_staging == FP16:
        return pypto.matmul(qr, operands.wq_b, _F16, extend_params={"scale": 2.0**-FIXPIPE_SHIFT})
    return pypto.matmul(qr, operands.wq_b, _I32)


def _heads(
    sums: Tensor, qr_scale: Tensor, operands: Operands, shape: Shape, tuning: Tuning, scopes: Iterator[int]
) -> None:
    """Dequantise, per-head RMS norm and RoPE; one task per block of rows and group of heads."""
    pypto.set_semantic_label("heads")
    rows = min(tuning.head_rows, shape.t)
    unit = 2.0**FIXPIPE_SHIFT if tuning.q_staging == FP16 else 1.0
    scales = pypto.reshape(operands.wq_b_scale, [1, shape.q_width], inplace=True)
    for row in range(0, shape.t, rows):
        for head in range(0, shape.h, tuning.head_group):
            pypto.set_pass_options(sg_set_scope=next(scopes))
            normed = _normed_heads(sums, qr_scale, scales, unit, shape, tuning, row, head)
            nope = pypto.view(normed, [rows, tuning.head_group, shape.nope_dim], [0, 0, 0])
            pypto.assemble(pypto.cast(nope, _BF16), [row, head, 0], operands.q)
            tail = pypto.view(normed, [rows, tuning.head_group, shape.rope_dim], [0, 0, shape.nope_dim])
            cos = pypto.view(operands.rope_cos, [rows, shape.rope_half], [row, 0])
            sin = pypto.view(operands.rope_sin, [rows, shape.rope_half], [row, 0])
            rotated = rotate_heads(tail, cos, sin, tuning.head_tile_rows)
            pypto.assemble(pypto.cast(rotated, _BF16), [row, head, shape.nope_dim], operands.q)
            pypto.set_pass_options(sg_set_scope=-1)


def _normed_heads(
    sums: Tensor, qr_scale: Tensor, scales: Tensor, unit: float, shape: Shape, tuning: Tuning, row: int, head: int
) -> Tensor:
    """FP32 [rows, heads, HEAD_DIM]: dequantised sums from `row` and `head` on, each head over its RMS."""
    rows, heads = min(tuning.head_rows, shape.t), tuning.head_group
    width, column = heads * shape.head_dim, head * shape.head_dim
    pypto.set_vec_tile_shapes(tuning.head_tile_rows, width)
    values = pypto.cast(pypto.view(sums, [rows, width], [row, column]), _F32)
    values = pypto.mul(values, pypto.view(scales, [1, width], [0, column]))
    values = pypto.mul(values, pypto.mul(pypto.view(qr_scale, [rows, 1], [row, 0]), unit))
    values = pypto.reshape(values, [rows, heads, shape.head_dim])
    pypto.set_vec_tile_shapes(tuning.head_tile_rows, heads, shape.head_dim)
    sum_squares = pypto.sum(pypto.mul(values, values), -1, keepdim=True)
    return pypto.mul(values, _inverse_rms(sum_squares, shape.head_dim))


def _kv(token_x: Tensor, operands: Operands, shape: Shape, tuning: Tuning) -> None:
    """kv = rms_norm(token_x @ wkv) · gamma_ckv with RoPE on its tail, BF16 [T, HEAD_DIM]."""
    pypto.set_semantic_label("wkv")
    rows, width = shape.t, shape.head_dim
    _set_projection_tiles(shape, tuning, tuning.kv_n_tile)
    pypto.set_vec_tile_shapes(tuning.kv_rows, width)
    kv_f = _split_k_matmul(token_x, operands.wkv, shape, width, tuning.kv_split_k)
    pypto.set_semantic_label("kv-norm-rope")
    gamma = pypto.cast(pypto.reshape(operands.gamma_ckv, [1, width], inplace=True), _F32)
    normed = pypto.mul(pypto.mul(kv_f, _inverse_rms(_sum_squares(kv_f, rows, width, 1), width)), gamma)
    nope = pypto.view(normed, [rows, shape.nope_dim], [0, 0])
    pypto.assemble(pypto.cast(nope, _BF16), [0, 0], operands.kv)
    tail = pypto.view(normed, [rows, shape.rope_dim], [0, shape.nope_dim])
    cos = pypto.view(operands.rope_cos, [rows, shape.rope_half], [0, 0])
    sin = pypto.view(operands.rope_sin, [rows, shape.rope_half], [0, 0])
    pypto.assemble(pypto.cast(rotate_rows(tail, cos, sin, tuning.kv_rows), _BF16), [0, shape.nope_dim], operands.kv)
