"""Interleaved RoPE in PyPTO's tensor language: even' = even·cos − odd·sin, odd' = even·sin + odd·cos.

Written as x·C + swap(x)·S, where C repeats each cosine for both elements of its pair, S repeats each sine, negative
under the even element, and swap exchanges the two. Splitting and joining the pairs by transposition would take every
tile through global memory twice. Imported only when a program is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pypto

Tensor = Any  # pypto.Tensor, which has no type information

_F32, _BF16, _I32 = pypto.DT_FP32, pypto.DT_BF16, pypto.DT_INT32


@dataclass(frozen=True, slots=True)
class Tables:
    """C and S, FP32 [rows, ROPE_DIM], and the INT32 index that swaps the elements of a pair."""

    cos: Tensor
    sin: Tensor
    swap: Tensor  # may have fewer rows: every row is the same


def build_tables(rope_cos: Tensor, rope_sin: Tensor) -> Tensor:
    """C, S and the swap index side by side, BF16 [T, 3·ROPE_DIM], from the operator's BF16 [T, ROPE_DIM] tables.

    BF16 loses nothing: C and S are the operator's own BF16 values up to sign, the index is below 256.
    """
    pypto.set_semantic_label("rope-tables")
    tokens, width = rope_cos.shape
    pypto.set_vec_tile_shapes(tokens, width)
    lane = pypto.reshape(pypto.cast(pypto.arange(width), _F32), [1, width])
    pair = pypto.floor(pypto.mul(lane, 0.5))
    sign = pypto.sub(pypto.mul(pypto.sub(lane, pypto.mul(pair, 2.0)), 2.0), 1.0)  # -1 under even elements, +1 under odd
    index = pypto.expand_clone(pypto.cast(pair, _I32), [tokens, width])
    cos = pypto.gather(pypto.cast(rope_cos, _F32), 1, index)
    sin = pypto.gather(pypto.cast(rope_sin, _F32), 1, index)
    table = pypto.Tensor([tokens, 3 * width], _BF16)
    pypto.assemble(pypto.cast(cos, _BF16), [0, 0], table)
    pypto.assemble(pypto.cast(pypto.mul(sin, sign), _BF16), [0, width], table)
    swap = pypto.expand_clone(pypto.sub(lane, sign), [tokens, width])
    pypto.assemble(pypto.cast(swap, _BF16), [0, 2 * width], table)
    return table


def load_tables(table: Tensor, row: int, rows: int, tile_rows: int, swap_rows: int) -> Tables:
    """Rows `row` to `row + rows` of `table`, cast in tiles of `tile_rows`: one copy each; `swap_rows` of the index."""
    width = table.shape[1] // 3
    pypto.set_vec_tile_shapes(tile_rows, 3 * width)
    whole = pypto.cast(pypto.view(table, [rows, 3 * width], [row, 0]), _F32)
    pypto.set_vec_tile_shapes(tile_rows, width)
    cos, sin = (pypto.view(whole, [rows, width], [0, part * width]) for part in range(2))
    return Tables(cos, sin, pypto.cast(pypto.view(whole, [swap_rows, width], [0, 2 * width]), _I32))


def rotate(values: Tensor, tables: Tables, tile_rows: int, gather: bool) -> Tensor:
    """FP32 [rows, ROPE_DIM] rotated in tiles of `tile_rows`; pairs are swapped by a gather or by transpositions."""
    swapped = pypto.gather(values, 1, tables.swap) if gather else _transposed_swap(values, tile_rows)
    return pypto.add(pypto.mul(values, tables.cos), pypto.mul(swapped, tables.sin))


def _transposed_swap(values: Tensor, tile_rows: int) -> Tensor:
    """The elements of each pair exchanged: even and odd ones set apart, exchanged, and joined to pairs again."""
    rows, width = values.shape
    half = width // 2
    pypto.set_vec_tile_shapes(tile_rows, width, width)
    apart = pypto.reshape(pypto.transpose(pypto.reshape(values, [rows, half, 2]), 1, 2), [rows, width])
    pypto.set_vec_tile_shapes(tile_rows, width)
    even, odd = (pypto.view(apart, [rows, half], [0, part * half]) for part in range(2))
    turned = pypto.concat([odd, even], -1)
    pypto.set_vec_tile_shapes(tile_rows, width, width)
    joined = pypto.reshape(pypto.transpose(pypto.reshape(turned, [rows, 2, half]), 1, 2), [rows, width])
    pypto.set_vec_tile_shapes(tile_rows, width)
    return joined
