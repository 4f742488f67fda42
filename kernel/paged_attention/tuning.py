"""The knobs of the kernel, and the guards that refuse a combination before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kernel.core_limits import L0_BYTES, L1_BYTES, MIN_M, UB_BYTES, divides, fits
from kernel.errors import GuardError
from kernel.spec import Step
from kernel.tuned import History, Knobs

_BF16, _FP32 = 2, 4  # bytes
_LIVE_TILES = 3  # FP32 tiles of scores alive at once: the scores, what is exponentiated, the weights


@dataclass(frozen=True, slots=True)
class AttentionTuning(Knobs):
    """Every knob. Building a `AttentionTuning` checks nothing, because the guards need the shape."""

    rows: int = 16  # query heads of one softmax tile
    merge: int = 1  # matrix products of one cube task
    l1_reuse: int = 8  # cube tasks that load the same operand merged into one
    vec_merge: int = 2  # equal vector tasks merged into one


HISTORY = History(
    untuned=MappingProxyType({"rows": "1", "merge": "1", "l1_reuse": "1", "vec_merge": "1"}),
    steps=(
        Step("heads", "more query heads in one softmax tile", ("rows",)),
        Step("products", "matrix products over the blocks merged into fewer cube tasks", ("merge",)),
        Step("reuse", "cube tasks that load the same operand merged", ("l1_reuse",)),
        Step("tasks", "equal vector tasks merged", ("vec_merge",)),
    ),
    space=MappingProxyType(
        {
            "rows": ("1", "2", "4", "8", "16"),
            "merge": ("1", "2", "4", "8"),
            "l1_reuse": ("1", "2", "4", "8"),
            "vec_merge": ("1", "2", "4", "8"),
        }
    ),
)


def check(dims: Mapping[str, int], tuning: AttentionTuning) -> None:
    """Raise `GuardError` for a shape or a tiling of it that does not divide or does not fit."""
    positions = dims["M"] * dims["P"]
    divides("G / rows", dims["G"], tuning.rows)
    if dims["G"] % MIN_M:
        raise GuardError("G of whole cube rows", dims["G"], MIN_M, f"choose a multiple of {MIN_M}")
    if dims["B"] * dims["M"] > dims["N"]:
        raise GuardError("B*M blocks of the cache", dims["B"] * dims["M"], dims["N"], "give the cache more blocks")
    fits("K block L0B bytes", dims["P"] * dims["D"] * _BF16, L0_BYTES)
    fits("K block L1 bytes", (dims["P"] + dims["G"]) * dims["D"] * _BF16, L1_BYTES)
    fits("softmax UB bytes", _LIVE_TILES * tuning.rows * positions * _FP32, UB_BYTES)
