"""The operator's stages in PyPTO's tensor language. Imported only when a program is built.

A call here records operations on the graph being traced; loops over rows and heads are unrolled at build time. The
semantic label of each stage names its tasks in the profile.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypto

from kernel.qkv_proj_rope.guards import FIXPIPE_SHIFT, FP16, cube_rows
from kernel.qkv_proj_rope.heads import HeadBlock, HeadSources, factor, record_heads
from kernel.qkv_proj_rope.rope import build_tables, load_tables, rotate
from kernel.qkv_proj_rope.shapes import EPS, INT8_AMAX_EPS, INT8_SCALE_MAX, Shape
from kernel.qkv_proj_rope.tuning import ProjectionTuning

Tensor = Any  # pypto.Tensor, which has no type information

_F32, _BF16, _F16 = pypto.DT_FP32, pypto.DT_BF16, pypto.DT_FP16
_I32, _I8 = pypto.DT_INT32, pypto.DT_INT8


@dataclass(frozen=True, slots=True)
class ProjectionOperands:
    """The entry's parameters, dtypes as in the operator's table.

    Vectors come as [1, N], `x` as [T, D] and `q` as [T, H·HEAD_DIM]: reshaping them on the device would put a task of
    its own in front of everything that reads them.
    """

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


def compute(operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning) -> None:
    """Record the whole operator."""
    scopes = itertools.count(1)
    pypto.experimental.set_operation_options(combine_axis=True)
    for _ in pypto.loop(1, name="MAIN", idx_name="main"):
        with _one_task(scopes):
            token_x = _attn_norm(operands, shape, tuning)
        qr_parts = _query_projection(token_x, operands, shape, tuning)
        qr_scale = _qr_norm_quant(qr_parts, operands, shape, tuning, scopes)
        with _one_task(scopes):
            table = build_tables(operands.rope_cos, operands.rope_sin)
        sums = _q_projection(operands, shape, tuning)
        sources = HeadSources(sums, qr_scale, operands.wq_b_scale, table, operands.q)
        _heads(sources, shape, tuning, scopes)
        kv_parts = _kv_projection(token_x, operands, shape, tuning)
        with _one_task(scopes):
            _kv_norm_rope(kv_parts, table, operands, shape, tuning)


@contextlib.contextmanager
def _one_task(scopes: Iterator[int]) -> Iterator[None]:
    """Connected operations recorded inside become one task, which no other task is merged with."""
    pypto.set_pass_options(sg_set_scope=next(scopes))
    yield
    pypto.set_pass_options(sg_set_scope=-1)


def _one(rows: int) -> Tensor:
    """FP32 [rows, 1] of ones."""
    return pypto.full([rows, 1], 1.0, _F32)


def _inverse_rms(sum_squares: Tensor, count: int, eps: Tensor | float) -> Tensor:
    """1 / sqrt(sum_squares / count + eps), FP32 [rows, 1], for a sum over `count` elements."""
    root = pypto.sqrt(pypto.add(pypto.mul(sum_squares, 1.0 / count), eps))
    return pypto.div(_one(root.shape[0]), root)


def _sum_squares(values: Tensor, partials: int) -> Tensor:
    """Sum of squares over the last axis of FP32 [rows, width], as `partials` independent sums added in order."""
    rows, width = values.shape
    part = width // partials
    total = None
    for index in range(partials):
        piece = pypto.view(values, [rows, part], [0, index * part]) if partials > 1 else values
        partial = pypto.sum(pypto.mul(piece, piece), -1, keepdim=True)
        total = partial if total is None else pypto.add(total, partial)
    return total


def _gamma(weight: Tensor, rows: int) -> Tensor:
    """BF16 [1, width] as FP32 [rows, width]; expanded first, or the cast would be a task that all others wait for."""
    return pypto.cast(pypto.expand_clone(weight, [rows, weight.shape[1]]), _F32)


def _attn_norm(operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning) -> Tensor:
    """token_x = bf16(x · rsqrt(mean(x²) + EPS) · norm_w), BF16 [T, D]."""
    pypto.set_semantic_label("attn-norm")
    pypto.set_vec_tile_shapes(tuning.attn_norm_rows, shape.d)
    x = pypto.cast(operands.x, _F32)
    inverse = _inverse_rms(_sum_squares(x, tuning.attn_norm_partials), shape.d, EPS)
    whole, implicit = [shape.t, shape.d], tuning.implicit_broadcast
    scaled = pypto.mul(x, factor(inverse, whole, implicit))
    return pypto.cast(pypto.mul(scaled, factor(operands.norm_w, whole, implicit)), _BF16)


def _partial_products(left: Tensor, weight: Tensor, splits: int) -> Tensor:
    """BF16 [T, D] @ BF16 [D, width] as `splits` FP32 partial products over D, side by side: [T, splits·width].

    They lie in one tensor so that the sum reads them with one copy: a copy costs far more than its bytes.
    """
    tokens, depth = left.shape[0], left.shape[1] // splits
    width = weight.shape[1]
    parts = pypto.Tensor([tokens, splits * width], _F32)
    for index in range(splits):
        a = pypto.view(left, [tokens, depth], [0, index * depth])
        b = pypto.view(weight, [depth, width], [index * depth, 0])
        pypto.assemble(pypto.matmul(a, b, _F32), [0, index * width], parts)
    return parts


def _sum_parts(parts: Tensor, splits: int, tile_rows: int, joined: bool) -> Tensor:
    """FP32 [T, splits·width] as the sum of its parts, added in order: [T, width]. Sets the tile to such row blocks."""
    rows, width = parts.shape[0], parts.shape[1] // splits
    whole = parts
    if joined:
        pypto.set_vec_tile_shapes(tile_rows, splits * width)
        whole = pypto.mul(parts, 1.0)  # an operation over all parts is what makes the compiler load them with one copy
    pypto.set_vec_tile_shapes(tile_rows, width)
    total = pypto.view(whole, [rows, width], [0, 0])
    for index in range(1, splits):
        total = pypto.add(total, pypto.view(whole, [rows, width], [0, index * width]))
    return total


def _set_projection_tiles(shape: Shape, tuning: ProjectionTuning, columns: int) -> None:
    rows, k_l0 = cube_rows(shape), tuning.proj_k_l0
    k_weight = k_l0 * tuning.proj_k_stages
    k_tiles = [k_l0, k_weight * tuning.proj_x_span, k_weight]  # L0, L1 for token_x, L1 for the weight
    pypto.set_cube_tile_shapes([rows, rows], k_tiles, [columns, columns])


def _query_projection(token_x: Tensor, operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning) -> Tensor:
    """token_x @ wq_a in partial products, FP32 [T, split_k·Q_LORA]."""
    pypto.set_semantic_label("wq_a")
    _set_projection_tiles(shape, tuning, tuning.proj_n_tile)
    return _partial_products(token_x, operands.wq_a, tuning.split_k)


def _qr_norm_quant(
    parts: Tensor, operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning, scopes: Iterator[int]
) -> Tensor:
    """RMS norm, BF16 rounding and per-row INT8: writes qr INT8 [T, Q_LORA], writes and returns qr_scale FP32 [T, 1].

    One task per block of rows when the amax is folded in, else one for the norm and one for the quantisation.
    """
    with _one_task(scopes):
        pypto.set_semantic_label("qr-norm")
        qr_f = _sum_parts(parts, tuning.split_k, tuning.qr_norm_rows, tuning.join_part_loads)
        inverse = _inverse_rms(_sum_squares(qr_f, tuning.qr_norm_partials), shape.q_lora, EPS)
        inverse = factor(inverse, qr_f.shape, tuning.implicit_broadcast)
        scaled = pypto.mul(pypto.mul(qr_f, inverse), _gamma(operands.gamma_cq, shape.t))
        qr_b = pypto.cast(scaled, _BF16)
        if tuning.fold_amax:
            qr, qr_scale = _quantise(pypto.cast(qr_b, _F32), tuning.implicit_broadcast)
    if not tuning.fold_amax:
        with _one_task(scopes):
            pypto.set_semantic_label("qr-quant")
            qr, qr_scale = _quantise(pypto.cast(qr_b, _F32), tuning.implicit_broadcast)
    pypto.assemble(qr, [0, 0], operands.qr)
    pypto.assemble(qr_scale, [0, 0], operands.qr_scale)
    return qr_scale


def _quantise(qr_b: Tensor, implicit: bool) -> tuple[Tensor, Tensor]:
    """INT8 of BF16-valued FP32 [rows, Q_LORA] and its scale FP32 [rows, 1]; ties to even."""
    rows = qr_b.shape[0]
    floor = pypto.full([rows, 1], INT8_AMAX_EPS, _F32)
    amax = pypto.maximum(pypto.amax(pypto.abs(qr_b), -1, keepdim=True), floor)
    gain = pypto.div(pypto.full([rows, 1], INT8_SCALE_MAX, _F32), amax)
    scaled = pypto.mul(qr_b, factor(gain, qr_b.shape, implicit))
    integers = pypto.cast(scaled, _I32, pypto.CastMode.CAST_RINT)
    halves = pypto.cast(integers, _F16, pypto.CastMode.CAST_ROUND)  # exact: the only way from INT32 to INT8
    return pypto.cast(halves, _I8, pypto.CastMode.CAST_TRUNC), pypto.div(_one(rows), gain)


def _q_projection(operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning) -> Tensor:
    """qr @ wq_b [T, H·HEAD_DIM]: exact INT32, or FP16 of the sum times 2**-FIXPIPE_SHIFT.

    Reads `qr` where it was written out: as the quantisation's result it would be written a second time.
    """
    pypto.set_semantic_label("q-proj")
    rows, columns = cube_rows(shape), tuning.q_proj_n_tile
    k_tiles = [tuning.q_proj_k_l0, shape.q_lora, tuning.q_proj_k_tile]  # L0, L1 for qr (whole rows), L1 for wq_b
    pypto.set_cube_tile_shapes([rows, rows], k_tiles, [columns, columns])
    if tuning.q_staging == FP16:
        return pypto.matmul(operands.qr, operands.wq_b, _F16, extend_params={"scale": 2.0**-FIXPIPE_SHIFT})
    return pypto.matmul(operands.qr, operands.wq_b, _I32)


def _heads(sources: HeadSources, shape: Shape, tuning: ProjectionTuning, scopes: Iterator[int]) -> None:
    """Dequantise, per-head RMS norm and RoPE; one task per block of rows and `head_group · head_merge` heads."""
    pypto.set_semantic_label("heads")
    rows = min(tuning.head_rows, shape.t)
    for row in range(0, shape.t, rows):
        for head, heads in head_blocks(shape.h, tuning.head_group * tuning.head_merge):
            with _one_task(scopes):
                record_heads(HeadBlock(row, rows, head, heads), sources, shape, tuning)


def head_blocks(heads: int, size: int) -> Iterator[tuple[int, int]]:
    """First head and number of heads of each task: `size` each, and what is left over in the first.

    PyPTO too puts what is left over first when it merges q-proj products, so that blocks of as many heads wait for one
    q-proj task each, and not for two.
    """
    rest = heads % size
    if rest:
        yield 0, rest
    for first in range(rest, heads, size):
        yield first, size


def _kv_projection(token_x: Tensor, operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning) -> Tensor:
    """token_x @ wkv in partial products, FP32 [T, kv_split_k·HEAD_DIM]."""
    pypto.set_semantic_label("wkv")
    _set_projection_tiles(shape, tuning, tuning.kv_n_tile)
    return _partial_products(token_x, operands.wkv, tuning.kv_split_k)


def _kv_norm_rope(
    parts: Tensor, table: Tensor, operands: ProjectionOperands, shape: Shape, tuning: ProjectionTuning
) -> None:
    """kv = rms_norm(parts summed) · gamma_ckv with RoPE on its tail, BF16 [T, HEAD_DIM]."""
    pypto.set_semantic_label("kv-norm-rope")
    rows, width = shape.t, shape.head_dim
    kv_f = _sum_parts(parts, tuning.kv_split_k, tuning.kv_rows, tuning.join_part_loads)
    inverse = _inverse_rms(_sum_squares(kv_f, 1), width, EPS)
    inverse = factor(inverse, [rows, width], tuning.implicit_broadcast)
    normed = pypto.mul(pypto.mul(kv_f, inverse), _gamma(operands.gamma_ckv, rows))
    nope = pypto.view(normed, [rows, shape.nope_dim], [0, 0])
    pypto.assemble(pypto.cast(nope, _BF16), [0, 0], operands.kv)
    tail = pypto.view(normed, [rows, shape.rope_dim], [0, shape.nope_dim])
    tables = load_tables(table, 0, rows, tuning.kv_rows, rows)
    rotated = rotate(tail, tables, tuning.kv_rows, tuning.rope_gather)
    pypto.assemble(pypto.cast(rotated, _BF16), [0, shape.nope_dim], operands.kv)
