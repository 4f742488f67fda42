"""Compares one output with what was expected of it: |actual − expected| ≤ atol + rtol·|expected|, few outliers allowed.

NaN or Inf fails whatever the allowed share; a wrong shape or dtype fails with words instead of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kernel.spec import Tolerance

MAX_OFFENDERS = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one output compares with what was expected of it."""

    passed: bool
    reference: str  # what it was compared with: "golden" or "staged"
    outlier_share: float
    allowed_outlier_share: float
    max_abs_err: float | None = None  # None where NaN or Inf makes it meaningless
    max_rel_err: float | None = None  # over the elements whose expected value is not zero; None where there is none
    worst_index: tuple[int, ...] = ()  # largest error in units of its bound; the first NaN or Inf where there is one
    worst_actual: float | None = None
    worst_expected: float | None = None
    nonfinite: int = 0  # NaN or Inf elements in the output
    offenders: tuple[tuple[int, ...], ...] = ()  # first outliers in memory order
    problem: str = ""  # wrong shape or dtype, in words


def compare(
    name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: Tolerance, reference: str
) -> Comparison:
    """Compare `actual` with `expected`, tensors of the same shape and dtype on the CPU.

    The bound and the share are inclusive: an error exactly at the bound is no outlier, a share exactly at the allowed
    one passes. Computed in FP64. An empty output passes. `name` is for the words in `problem`.
    """
    problem = _mismatch(name, actual, expected)
    if problem:
        return Comparison(False, reference, 1.0, tolerance.outlier_share, problem=problem)
    if actual.numel() == 0:
        return Comparison(True, reference, 0.0, tolerance.outlier_share, max_abs_err=0.0)
    return _compare_values(actual, expected, tolerance, reference)


def _mismatch(name: str, actual: torch.Tensor, expected: torch.Tensor) -> str:
    if actual.shape != expected.shape:
        return f"'{name}' has shape {list(actual.shape)}, expected {list(expected.shape)}"
    if actual.dtype != expected.dtype:
        return f"'{name}' has dtype {actual.dtype}, expected {expected.dtype}"
    if not bool(torch.isfinite(expected).all()):
        return f"the expected '{name}' itself holds NaN or Inf, so nothing can be compared with it"
    return ""


def _compare_values(actual: torch.Tensor, expected: torch.Tensor, tolerance: Tolerance, reference: str) -> Comparison:
    got, want = actual.reshape(-1).double(), expected.reshape(-1).double()
    error = (got - want).abs()
    magnitude = want.abs()
    bound = magnitude * tolerance.rtol + tolerance.atol
    outliers = ~(error <= bound)  # negated so that NaN is an outlier
    outlier_count = int(outliers.sum())
    # An infinite value against a finite one gives an infinite error; NaN gives NaN: both are not finite.
    nonfinite = error.numel() - int(torch.isfinite(error).sum())
    share = outlier_count / error.numel()
    worst = _worst(error, bound, nonfinite)
    return Comparison(
        passed=nonfinite == 0 and share <= tolerance.outlier_share,
        reference=reference,
        outlier_share=share,
        allowed_outlier_share=tolerance.outlier_share,
        max_abs_err=None if nonfinite else float(error.max()),
        max_rel_err=None if nonfinite else _max_relative(error, magnitude),
        worst_index=_index(worst, actual.shape),
        worst_actual=float(got[worst]) if bool(torch.isfinite(got[worst])) else None,
        worst_expected=float(want[worst]),
        nonfinite=nonfinite,
        offenders=_first(outliers, outlier_count, actual.shape),
    )


def _worst(error: torch.Tensor, bound: torch.Tensor, nonfinite: int) -> int:
    if nonfinite:
        return int((~torch.isfinite(error)).to(torch.uint8).argmax())
    # 0/0 is an exact value with no room allowed: as good as can be, not NaN.
    return int(torch.nan_to_num(error / bound, nan=0.0, posinf=float("inf")).argmax())


def _max_relative(error: torch.Tensor, magnitude: torch.Tensor) -> float | None:
    relative = torch.where(magnitude > 0, error / magnitude, -1.0).max()
    return float(relative) if relative >= 0 else None


def _first(outliers: torch.Tensor, count: int, shape: torch.Size) -> tuple[tuple[int, ...], ...]:
    if count == 0:
        return ()
    positions = outliers.nonzero().reshape(-1)[:MAX_OFFENDERS]
    return tuple(_index(int(position), shape) for position in positions)


def _index(position: int, shape: torch.Size) -> tuple[int, ...]:
    index: list[int] = []
    for extent in reversed(shape):
        position, at = divmod(position, extent)
        index.append(at)
    return tuple(reversed(index))
