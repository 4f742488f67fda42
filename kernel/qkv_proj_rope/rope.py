"""Interleaved RoPE in PyPTO's tensor language: even' = even·cos − odd·sin, odd' = even·sin + odd·cos.

Pairs are split and joined by transposing [.., half, 2] and [.., 2, half]. Imported only when a program is built.
"""

from __future__ import annotations

from typing import Any

import pypto

Tensor = Any  # pypto.Tensor, which has no type information


def _rotated(even: Tensor, odd: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """All rotated even elements, then all rotated odd ones, along the last axis."""
    new_even = pypto.sub(pypto.mul(even, cos), pypto.mul(odd, sin))
    new_odd = pypto.add(pypto.mul(even, sin), pypto.mul(odd, cos))
    return pypto.concat([new_even, new_odd], -1)


def rotate_rows(values: Tensor, cos: Tensor, sin: Tensor, tile_rows: int) -> Tensor:
    """FP32 [rows, ROPE_DIM] rotated by BF16 tables [rows, ROPE_HALF]."""
    rows, width = values.shape
    half = width // 2
    pypto.set_vec_tile_shapes(tile_rows, width, width)
    cos, sin = pypto.cast(cos, pypto.DT_FP32), pypto.cast(sin, pypto.DT_FP32)
    split = pypto.reshape(pypto.transpose(pypto.reshape(values, [rows, half, 2]), 1, 2), [rows, width])
    even, odd = pypto.view(split, [rows, half], [0, 0]), pypto.view(split, [rows, half], [0, half])
    rotated = pypto.reshape(_rotated(even, odd, cos, sin), [rows, 2, half])
    return pypto.reshape(pypto.transpose(rotated, 1, 2), [rows, width])


def rotate_heads(values: Tensor, cos: Tensor, sin: Tensor, tile_rows: int) -> Tensor:
    """FP32 [rows, heads, ROPE_DIM] rotated by BF16 tables [rows, ROPE_HALF], the same for every head."""
    rows, heads, width = values.shape
    half = width // 2
    pypto.set_vec_tile_shapes(tile_rows, heads, width)
    pairs = pypto.reshape(values, [rows, heads, half, 2])
    pypto.set_vec_tile_shapes(tile_rows, heads, width, width)
    split = pypto.reshape(pypto.transpose(pairs, 2, 3), [rows, heads, width])
    pypto.set_vec_tile_shapes(tile_rows, heads, width)
    even, odd = pypto.view(split, [rows, heads, half], [0, 0, 0]), pypto.view(split, [rows, heads, half], [0, 0, half])
    pypto.set_vec_tile_shapes(tile_rows, width)
    cos = pypto.reshape(pypto.cast(cos, pypto.DT_FP32), [rows, 1, half])
    sin = pypto.reshape(pypto.cast(sin, pypto.DT_FP32), [rows, 1, half])
    pypto.set_vec_tile_shapes(tile_rows, heads, width)
    rotated = pypto.reshape(_rotated(even, odd, cos, sin), [rows, heads, 2, half])
    pypto.set_vec_tile_shapes(tile_rows, heads, width, width)
    joined = pypto.reshape(pypto.transpose(rotated, 2, 3), [rows, heads, width])
    pypto.set_vec_tile_shapes(tile_rows, heads, width)
    return joined
