"""The knobs of the kernel, and the guards that refuse a combination before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kernel.core_limits import L0_BYTES, L0C_BYTES, L1_BYTES, MIN_M, UB_BYTES, divides, fits
from kernel.spec import Step
from kernel.tuned import History, Knobs

_INT32, _FP32 = 4, 4  # bytes
_LIVE_TILES = 4  # FP32 tiles of a token block alive at once: gate, up, the exponential, the product


@dataclass(frozen=True, slots=True)
class SwigluTuning(Knobs):
    """Every knob. Building a `SwigluTuning` checks nothing, because the guards need the shape."""

    n_tile: int = 256  # columns of w of one matrix product
    k_tile: int = 1024  # rows of w in one L1 load
    k_l0: int = 256  # rows of w in one L0 tile
    rows: int = 2  # tokens of one activation task
    merge: int = 1  # matrix products of one cube task
    l1_reuse: int = 1  # cube tasks that load the same operand merged into one
    vec_merge: int = 1  # activation tasks merged into one


HISTORY = History(
    untuned=MappingProxyType({"n_tile": "128", "k_tile": "128", "k_l0": "128", "rows": "1"}),
    steps=(
        Step("K tile", "more rows of w in one load", ("k_tile", "k_l0")),
        Step("N tile", "more columns of w in one product", ("n_tile",)),
        Step("tokens", "more tokens in one activation task", ("rows",)),
    ),
    space=MappingProxyType(
        {
            "n_tile": ("64", "128", "256", "512"),
            "k_tile": ("256", "512", "1024", "2048"),
            "k_l0": ("128", "256", "512"),
            "rows": ("1", "2", "4"),
            "merge": ("1", "2", "4"),
            "l1_reuse": ("1", "2", "4"),
            "vec_merge": ("1", "2", "4"),
        }
    ),
)


def cube_rows(dims: Mapping[str, int]) -> int:
    """Rows of every cube tile: all tokens."""
    return max(dims["T"], MIN_M)


def check(dims: Mapping[str, int], tuning: SwigluTuning) -> None:
    """Raise `GuardError` for a tiling of `dims` that does not divide or does not fit."""
    rows = cube_rows(dims)
    divides("2*F / n_tile", 2 * dims["F"], tuning.n_tile)
    divides("D / k_tile", dims["D"], tuning.k_tile)
    divides("k_tile / k_l0", tuning.k_tile, tuning.k_l0)
    divides("T / rows", dims["T"], tuning.rows)
    fits("L0A bytes", rows * tuning.k_l0, L0_BYTES)
    fits("L0B bytes", tuning.k_l0 * tuning.n_tile, L0_BYTES)
    fits("L0C bytes", rows * tuning.n_tile * _INT32, L0C_BYTES)
    fits("L1 bytes", tuning.k_tile * (rows + tuning.n_tile), L1_BYTES)
    fits("activation UB bytes", _LIVE_TILES * tuning.rows * dims["F"] * _FP32, UB_BYTES)
