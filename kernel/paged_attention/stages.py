"""The operator's stages in PyPTO's tensor language. Imported only when a program is built.

The loop over sequences stays a loop on the device, whose body reads the sequence's length and block numbers from
memory; heads and blocks are unrolled at build time. Blocks past a sequence's end are multiplied with no valid rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pypto

from kernel.paged_attention.tuning import AttentionTuning

Tensor = Any  # pypto.Tensor, which has no type information
Scalar = Any  # pypto.SymbolicScalar: an integer known on the device only

_F32, _BF16 = pypto.DT_FP32, pypto.DT_BF16


@dataclass(frozen=True, slots=True)
class AttentionOperands:
    """The entry's parameters; queries and output a head a row, the caches a position a row."""

    q: Tensor
    k_cache: Tensor
    v_cache: Tensor
    table: Tensor
    length: Tensor
    out: Tensor


def record(operands: AttentionOperands, dims: Mapping[str, int], tuning: AttentionTuning) -> None:
    """Record the whole operator."""
    pypto.experimental.set_operation_options(combine_axis=True)
    for sequence in pypto.loop(dims["B"], name="SEQUENCE", idx_name="sequence"):
        length = operands.length[sequence, 0]
        for head in range(dims["HKV"]):
            row = sequence * (dims["HKV"] * dims["G"]) + head * dims["G"]
            scores = _scores(operands, sequence, row, head, dims)
            weights, total = _softmax(scores, length, dims, tuning)
            values = _values(operands, weights, sequence, length, head, dims)
            pypto.assemble(pypto.cast(pypto.div(values, total), _BF16), [row, 0], operands.out)


def _begin(
    operands: AttentionOperands, sequence: Scalar, index: int, head: int, dims: Mapping[str, int]
) -> list[Scalar]:
    """Row and column at which block `index` of the sequence begins in a cache, for one of its heads."""
    return [operands.table[sequence, index] * dims["P"], head * dims["D"]]


def _scores(operands: AttentionOperands, sequence: Scalar, row: Scalar, head: int, dims: Mapping[str, int]) -> Tensor:
    """q · kᵀ of one group over all blocks, FP32 [G, M·P]; what lies past the length is of no meaning."""
    group, width, block = dims["G"], dims["D"], dims["P"]
    pypto.set_semantic_label("qk")
    pypto.set_cube_tile_shapes([group, group], [width, width], [block, block])
    query = pypto.view(operands.q, [group, width], [row, 0])
    scores = pypto.Tensor([group, dims["M"] * block], _F32)
    for index in range(dims["M"]):
        keys = pypto.view(operands.k_cache, [block, width], _begin(operands, sequence, index, head, dims))
        pypto.assemble(pypto.matmul(query, keys, _F32, b_trans=True), [0, index * block], scores)
    return scores


def _softmax(scores: Tensor, length: Scalar, dims: Mapping[str, int], tuning: AttentionTuning) -> tuple[Tensor, Tensor]:
    """exp(s − max s) over the valid positions as BF16 [G, M·P], and its sum FP32 [G, 1]."""
    positions = dims["M"] * dims["P"]
    pypto.set_semantic_label("softmax")
    pypto.set_vec_tile_shapes(tuning.rows, positions)
    valid = pypto.view(scores, [dims["G"], positions], [0, 0], valid_shape=[dims["G"], length])
    scaled = pypto.mul(valid, dims["D"] ** -0.5)
    weights = pypto.exp(pypto.sub(scaled, pypto.amax(scaled, -1, keepdim=True)))
    return pypto.cast(weights, _BF16), pypto.sum(weights, -1, keepdim=True)


def _values(
    operands: AttentionOperands, weights: Tensor, sequence: Scalar, length: Scalar, head: int, dims: Mapping[str, int]
) -> Tensor:
    """Weights times values summed over the blocks, FP32 [G, D]."""
    group, width, block = dims["G"], dims["D"], dims["P"]
    pypto.set_semantic_label("pv")
    pypto.set_cube_tile_shapes([group, group], [block, block], [width, width])
    pypto.set_vec_tile_shapes(group, width)
    total = None
    for index in range(dims["M"]):
        left = (length - index * block).min(block).max(0)  # valid positions of this block
        part = pypto.view(weights, [group, block], [0, index * block], valid_shape=[group, left])
        begin = _begin(operands, sequence, index, head, dims)
        values = pypto.view(operands.v_cache, [block, width], begin, valid_shape=[left, width])
        product = pypto.matmul(part, values, _F32)
        total = product if total is None else pypto.add(total, product)
    return total
