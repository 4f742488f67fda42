"""The knobs of the kernel, and the guards that refuse a combination before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from kernel.core_limits import L0_BYTES, L0C_BYTES, L1_BYTES, MIN_M, UB_BYTES, divides, fits
from kernel.errors import TuningError
from kernel.knobs import overridden

_INT32, _FP32 = 4, 4  # bytes
_LIVE_TILES = 4  # FP32 tiles of a token block alive at once: gate, up, the exponential, the product


@dataclass(frozen=True, slots=True)
class Tuning:
    """Every knob. Building a `Tuning` checks nothing; `tuned` does, because the guards need the shape."""

    n_tile: int = 256  # columns of w of one matrix product
    k_tile: int = 1024  # rows of w in one L1 load
    k_l0: int = 256  # rows of w in one L0 tile
    rows: int = 2  # tokens of one activation task
    merge: int = 1  # matrix products of one cube task

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return asdict(self)


def tuned(dims: Mapping[str, int], overrides: Mapping[str, str]) -> Tuning:
    """The best known tuning for `dims` with `overrides` applied, every guard checked.

    Raises `TuningError` for an unknown key or an unreadable value, `GuardError` for a tiling that does not fit.
    """
    tuning = overridden(_best(dims), overrides)
    _check(dims, tuning)
    return tuning


def cube_rows(dims: Mapping[str, int]) -> int:
    """Rows of every cube tile: all tokens."""
    return max(dims["T"], MIN_M)


def _best(dims: Mapping[str, int]) -> Tuning:
    widest = Tuning()
    depth = min(dims["D"], widest.k_tile)
    return replace(widest, n_tile=min(dims["F"], widest.n_tile), k_tile=depth, k_l0=min(depth, widest.k_l0))


def _check(dims: Mapping[str, int], tuning: Tuning) -> None:
    for key, value in asdict(tuning).items():
        if value < 1:
            raise TuningError(f"tuning key '{key}' is {value}; it must be at least 1")
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
