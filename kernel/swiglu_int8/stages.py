"""The operator's two stages in PyPTO's tensor language. Imported only when a program is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pypto

from kernel.swiglu_int8.operator import AMAX_FLOOR, INT8_MAX
from kernel.swiglu_int8.tuning import SwigluTuning, cube_rows

Tensor = Any  # pypto.Tensor, which has no type information

_F32, _BF16, _F16 = pypto.DT_FP32, pypto.DT_BF16, pypto.DT_FP16
_I32, _I8 = pypto.DT_INT32, pypto.DT_INT8


def record(
    x: Tensor,
    x_scale: Tensor,
    w: Tensor,
    w_scale: Tensor,
    y: Tensor,
    y_scale: Tensor,
    *,
    dims: Mapping[str, int],
    tuning: SwigluTuning,
) -> None:
    """Record the whole operator; operands as `operator.input_specs` and `output_specs` give them."""
    pypto.experimental.set_operation_options(combine_axis=True)
    for _ in pypto.loop(1, name="MAIN", idx_name="main"):
        sums = _projection(x, w, dims, tuning)
        pypto.set_pass_options(sg_set_scope=1)  # what is recorded until -1 becomes one task a block of tokens
        pypto.set_semantic_label("swiglu")
        pypto.set_vec_tile_shapes(tuning.rows, dims["F"])
        gate = _scaled(sums, x_scale, w_scale, 0, dims)
        up = _scaled(sums, x_scale, w_scale, dims["F"], dims)
        silu = pypto.div(gate, pypto.add(pypto.exp(pypto.mul(gate, -1.0)), 1.0))
        rounded = pypto.cast(pypto.cast(pypto.mul(silu, up), _BF16), _F32)
        values, scale = _quantise(rounded, dims["T"])
        pypto.assemble(values, [0, 0], y)
        pypto.assemble(scale, [0, 0], y_scale)
        pypto.set_pass_options(sg_set_scope=-1)


def _projection(x: Tensor, w: Tensor, dims: Mapping[str, int], tuning: SwigluTuning) -> Tensor:
    """x @ w as exact INT32 [T, 2·F]."""
    pypto.set_semantic_label("gate-up")
    rows, columns = cube_rows(dims), tuning.n_tile
    k_tiles = [tuning.k_l0, tuning.k_tile, tuning.k_tile]  # L0, L1 for x, L1 for w
    pypto.set_cube_tile_shapes([rows, rows], k_tiles, [columns, columns])
    return pypto.matmul(x, w, _I32)


def _scaled(sums: Tensor, x_scale: Tensor, w_scale: Tensor, column: int, dims: Mapping[str, int]) -> Tensor:
    """F columns of `sums` from `column` on, dequantised: FP32 [T, F]."""
    part = pypto.cast(pypto.view(sums, [dims["T"], dims["F"]], [0, column]), _F32)
    return pypto.mul(pypto.mul(part, x_scale), pypto.view(w_scale, [1, dims["F"]], [0, column]))


def _quantise(values: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """INT8 of BF16-valued FP32 [rows, F] and its scale FP32 [rows, 1]; ties to even."""
    floor = pypto.full([rows, 1], AMAX_FLOOR, _F32)
    amax = pypto.maximum(pypto.amax(pypto.abs(values), -1, keepdim=True), floor)
    gain = pypto.div(pypto.full([rows, 1], INT8_MAX, _F32), amax)
    integers = pypto.cast(pypto.mul(values, gain), _I32, pypto.CastMode.CAST_RINT)
    halves = pypto.cast(integers, _F16, pypto.CastMode.CAST_ROUND)  # exact: the only way from INT32 to INT8
    return pypto.cast(halves, _I8, pypto.CastMode.CAST_TRUNC), pypto.div(pypto.full([rows, 1], 1.0, _F32), gain)
