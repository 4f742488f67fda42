"""The guards: a tiling that does not divide what it tiles, or does not fit a core, is refused before a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.core_limits import L0_BYTES, L0C_BYTES, L1_BYTES, MIN_M, UB_BYTES, divides, fits
from kernel.errors import GuardError, TuningError
from kernel.qkv_proj_rope.shapes import Shape

if TYPE_CHECKING:
    from kernel.qkv_proj_rope.tuning import ProjectionTuning

FP16, INT32 = "fp16", "int32"  # values of `q_staging`
FP16_MAX = 65504
MAX_M = 128  # rows of the largest cube tile used here
FIXPIPE_SHIFT = 8  # q-proj sums leave the cube as FP16, times 2**-8

_BF16, _FP16, _INT8, _FP32 = 2, 2, 1, 4  # bytes


def cube_rows(shape: Shape) -> int:
    """Rows of every cube tile: all tokens, between the smallest and the largest tile."""
    return min(max(shape.t, MIN_M), MAX_M)


def head_load_rows(shape: Shape, tuning: ProjectionTuning) -> int:
    """Tokens that one copy of a head task loads: no more than the task has, and half as many of the wider INT32."""
    tiles = tuning.head_load_tiles if tuning.q_staging == FP16 else max(1, tuning.head_load_tiles // 2)
    return min(tuning.head_tile_rows * tiles, tuning.head_rows, shape.t)


def check(shape: Shape, tuning: ProjectionTuning) -> None:
    """Hold `tuning` to every guard for `shape`. Raises `GuardError`, or `TuningError` for a value out of range."""
    _check_ranges(tuning)
    _check_divisions(shape, tuning)
    _check_cube_buffers(shape, tuning)
    _check_vector_buffers(shape, tuning)
    largest = int(127 * 127 * shape.q_lora / 2**FIXPIPE_SHIFT)
    if tuning.q_staging == FP16 and largest > FP16_MAX:
        raise GuardError("q-proj sum fits FP16", largest, FP16_MAX, f"use q_staging={INT32}")


def _check_ranges(tuning: ProjectionTuning) -> None:
    for key, value in tuning.as_dict().items():
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise TuningError(f"tuning key '{key}' is {value}; it must be at least 1")
    if tuning.q_staging not in (FP16, INT32):
        raise TuningError(f"tuning key 'q_staging' is {tuning.q_staging!r}; known: {FP16}, {INT32}")


def _check_divisions(shape: Shape, tuning: ProjectionTuning) -> None:
    divides("D / attn_norm_partials", shape.d, tuning.attn_norm_partials)
    divides("Q_LORA / qr_norm_partials", shape.q_lora, tuning.qr_norm_partials)
    divides("D / split_k", shape.d, tuning.split_k)
    divides("D / kv_split_k", shape.d, tuning.kv_split_k)
    k_tile = tuning.proj_k_l0 * tuning.proj_k_stages * tuning.proj_x_span
    divides("D / split_k / (proj_k_l0 * proj_k_stages * proj_x_span)", shape.d // tuning.split_k, k_tile)
    divides("D / kv_split_k / (proj_k_l0 * proj_k_stages * proj_x_span)", shape.d // tuning.kv_split_k, k_tile)
    divides("Q_LORA / proj_n_tile", shape.q_lora, tuning.proj_n_tile)
    divides("HEAD_DIM / kv_n_tile", shape.head_dim, tuning.kv_n_tile)
    divides("Q_LORA / q_proj_k_tile", shape.q_lora, tuning.q_proj_k_tile)
    divides("q_proj_k_tile / q_proj_k_l0", tuning.q_proj_k_tile, tuning.q_proj_k_l0)
    divides("H*HEAD_DIM / q_proj_n_tile", shape.q_width, tuning.q_proj_n_tile)
    divides("H / head_group", shape.h, tuning.head_group)
    rows = min(tuning.head_rows, shape.t)
    divides("T / head_rows", shape.t, rows)
    divides("head_rows / head_tile_rows", rows, min(tuning.head_tile_rows, rows))
    divides("head_rows / (head_tile_rows * head_load_tiles)", rows, head_load_rows(shape, tuning))


def _check_cube_buffers(shape: Shape, tuning: ProjectionTuning) -> None:
    rows, k_l0 = cube_rows(shape), tuning.proj_k_l0
    widest = max(tuning.proj_n_tile, tuning.kv_n_tile)
    fits("projection L0B bytes", k_l0 * widest * _BF16, L0_BYTES)
    held = k_l0 * tuning.proj_k_stages * (rows * tuning.proj_x_span + widest)
    fits("projection L1 bytes", held * _BF16, L1_BYTES)
    fits("projection L0C bytes", rows * widest * _FP32, L0C_BYTES)
    fits("q-proj L0B bytes", tuning.q_proj_k_l0 * tuning.q_proj_n_tile * _INT8, L0_BYTES)
    loaded = shape.q_lora * rows + tuning.q_proj_k_tile * tuning.q_proj_n_tile
    fits("q-proj L1 bytes", loaded * _INT8, L1_BYTES)
    fits("q-proj L0C bytes", rows * tuning.q_proj_n_tile * _FP32, L0C_BYTES)


def _check_vector_buffers(shape: Shape, tuning: ProjectionTuning) -> None:
    # What is alive at once: a value, its square or product, and a third tile where a row vector is broadcast. A tile
    # that does not fit is not refused by the compiler: it is spilled to global memory and back, silently and slowly.
    factors = 0 if tuning.implicit_broadcast else 1
    fits("attn-norm UB bytes", (2 + factors) * tuning.attn_norm_rows * shape.d * _FP32, UB_BYTES)
    qr_tile = tuning.qr_norm_rows * shape.q_lora * _FP32
    fits("qr-norm UB bytes", (tuning.split_k + 1) * qr_tile, UB_BYTES)
    fits("kv-norm UB bytes", (tuning.kv_split_k + 1) * tuning.kv_rows * shape.head_dim * _FP32, UB_BYTES)
    tables = min(tuning.head_rows, shape.t) * 3 * shape.rope_dim * _FP32
    tile_rows, load_rows = min(tuning.head_tile_rows, shape.t), head_load_rows(shape, tuning)
    head_tile = tile_rows * shape.head_dim * _FP32
    width = _FP16 if tuning.q_staging == FP16 else _FP32
    loaded = load_rows * shape.head_dim * width * tuning.head_group if load_rows > tile_rows else 0
    fits("head UB bytes", (tuning.head_group + 2) * head_tile + loaded + tables, UB_BYTES)
