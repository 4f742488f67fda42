"""The knobs of the kernel, and the guards that refuse a combination before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from kernel.core_limits import L0_BYTES, L1_BYTES, MIN_M, UB_BYTES, divides, fits
from kernel.errors import GuardError, TuningError
from kernel.knobs import overridden

_BF16, _FP32 = 2, 4  # bytes
_LIVE_TILES = 3  # FP32 tiles of scores alive at once: the scores, what is exponentiated, the weights


@dataclass(frozen=True, slots=True)
class Tuning:
    """Every knob."""

    rows: int = 16  # query heads of one softmax tile
    merge: int = 1  # matrix products of one cube task

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return asdict(self)


def tuned(dims: Mapping[str, int], overrides: Mapping[str, str]) -> Tuning:
    """The best known tuning for `dims` with `overrides` applied, every guard checked.

    Raises `TuningError` for an unknown key or an unreadable value, `GuardError` for a tiling that does not fit.
    """
    tuning = overridden(Tuning(), overrides)
    _check(dims, tuning)
    return tuning


def _check(dims: Mapping[str, int], tuning: Tuning) -> None:
    for key, value in asdict(tuning).items():
        if value < 1:
            raise TuningError(f"tuning key '{key}' is {value}; it must be at least 1")
    positions = dims["M"] * dims["P"]
    divides("G / rows", dims["G"], tuning.rows)
    if dims["G"] % MIN_M:
        raise GuardError("G of whole cube rows", dims["G"], MIN_M, f"choose a multiple of {MIN_M}")
    if dims["B"] * dims["M"] > dims["N"]:
        raise GuardError("B*M blocks of the cache", dims["B"] * dims["M"], dims["N"], "give the cache more blocks")
    fits("K block L0B bytes", dims["P"] * dims["D"] * _BF16, L0_BYTES)
    fits("K block L1 bytes", (dims["P"] + dims["G"]) * dims["D"] * _BF16, L1_BYTES)
    fits("softmax UB bytes", _LIVE_TILES * tuning.rows * positions * _FP32, UB_BYTES)
