"""Compares one output with what was expected of it: |actual − expected| ≤ atol + rtol·|expected|, few outliers allowed.

NaN or Inf fails whatever the allowed share; a wrong shape or dtype fails with words instead of numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from kernel.spec import Tolerance, require_tolerance

MAX_OFFENDERS = 5
# Upper ends of the histogram's bins but the last, |error| in units of the bound: an element is an outlier above 1.
ERROR_EDGES = (0.0, 1 / 64, 1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 16.0, 64.0)
NEIGHBOURS = 4  # elements shown on each side of the worst one


@dataclass(frozen=True, slots=True)
class ErrorHistogram:
    """How many elements have |error| / bound in (edge before, edge]; the last count is of all above, NaN and Inf."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]  # one more than edges


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The elements around the worst one along the last axis."""

    first: int  # last index of the first of them
    actual: tuple[float | None, ...]  # None for NaN and Inf
    expected: tuple[float, ...]


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
    errors: ErrorHistogram | None = None
    around_worst: Neighbourhood | None = None  # None for a scalar


def compare(
    name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: Tolerance, reference: str
) -> Comparison:
    """Compare `actual` with `expected`, tensors of the same shape and dtype on the CPU.

    The bound and the share are inclusive: an error exactly at the bound is not an outlier, and a share exactly at the
    allowed one passes. Errors are exact for integers of any width, and computed in FP64 otherwise. Real and imaginary
    part of a complex number are each compared with the bound. An empty output passes. `problem` contains `name`.
    Raises `ToleranceError` for a tolerance that is not one.
    """
    require_tolerance(tolerance)
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
    try:
        finite = bool(torch.isfinite(_parts(expected)).all())
    except (RuntimeError, NotImplementedError):
        return f"'{name}' has dtype {expected.dtype}, whose values cannot be read as numbers; give it another one"
    return "" if finite else f"the expected '{name}' itself holds NaN or Inf, so nothing can be compared with it"


def _parts(tensor: torch.Tensor) -> torch.Tensor:
    """Return the elements in FP64, [elements, parts]: two parts of a complex number, one of any other."""
    flat = tensor.detach().reshape(-1)
    return torch.view_as_real(flat.resolve_conj()).double() if flat.is_complex() else flat.double().unsqueeze(1)


def _absolute_error(actual: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Return |actual − expected|, [elements, parts].

    FP64 cannot tell integers beyond 2^53 apart, so integers are subtracted before they are converted.
    """
    if actual.is_complex() or actual.is_floating_point():
        return (_parts(actual) - _parts(expected)).abs()
    got, want = _ordered(actual), _ordered(expected)
    # The difference of two 64-bit integers needs 65 bits: it wraps, and is read as unsigned.
    wrapped = torch.where(got > want, got - want, want - got)
    difference = wrapped.double()
    return torch.where(wrapped < 0, difference + 2.0**64, difference).unsqueeze(1)


def _ordered(tensor: torch.Tensor) -> torch.Tensor:
    """Return integers or truth values as INT64, in the same order and with the same differences."""
    flat = tensor.detach().reshape(-1)
    if flat.dtype is not torch.uint64:
        return flat.to(torch.int64)
    return flat.contiguous().view(torch.int64) ^ torch.iinfo(torch.int64).min


def _compare_values(actual: torch.Tensor, expected: torch.Tensor, tolerance: Tolerance, reference: str) -> Comparison:
    got, want = _parts(actual), _parts(expected)
    error = _absolute_error(actual, expected)
    magnitude = want.abs()
    bound = magnitude * tolerance.rtol + tolerance.atol
    outliers = ~(error <= bound).all(dim=1)  # negated so that NaN is an outlier
    # An infinite value against a finite one gives an infinite error; NaN gives NaN: both are not finite.
    unfit = ~torch.isfinite(error).all(dim=1)
    nonfinite = int(unfit.sum())
    share = int(outliers.sum()) / outliers.numel()
    relative, part = _in_units(error, bound).max(dim=1)
    worst = int(unfit.to(torch.uint8).argmax()) if nonfinite else int(relative.argmax())
    shown = int(part[worst])
    worst_actual, worst_expected = float(got[worst, shown]), float(want[worst, shown])
    return Comparison(
        passed=nonfinite == 0 and share <= tolerance.outlier_share,
        reference=reference,
        outlier_share=share,
        allowed_outlier_share=tolerance.outlier_share,
        max_abs_err=None if nonfinite else float(error.max()),
        max_rel_err=None if nonfinite else _max_relative(error, magnitude),
        worst_index=_index(worst, actual.shape),
        worst_actual=worst_actual if math.isfinite(worst_actual) else None,
        worst_expected=worst_expected,
        nonfinite=nonfinite,
        offenders=_first(outliers, actual.shape),
        errors=_histogram(relative),
        around_worst=_around(worst, got[:, shown], want[:, shown], actual.shape),
    )


def _in_units(error: torch.Tensor, bound: torch.Tensor) -> torch.Tensor:
    """Return |error| / bound, +Inf where the error is not finite."""
    # 0/0 is an exact value with no room allowed: as good as can be, not NaN.
    relative = torch.nan_to_num(error / bound, nan=0.0, posinf=float("inf"))
    return torch.where(torch.isfinite(error), relative, float("inf"))


def _histogram(relative: torch.Tensor) -> ErrorHistogram:
    edges = torch.tensor(ERROR_EDGES, dtype=torch.float64)
    counts = torch.bincount(torch.bucketize(relative, edges), minlength=len(ERROR_EDGES) + 1)
    return ErrorHistogram(ERROR_EDGES, tuple(int(count) for count in counts))


def _around(worst: int, got: torch.Tensor, want: torch.Tensor, shape: torch.Size) -> Neighbourhood | None:
    if not shape:
        return None
    at = worst % shape[-1]
    first, last = max(0, at - NEIGHBOURS), min(shape[-1], at + NEIGHBOURS + 1)
    span = slice(worst - at + first, worst - at + last)
    actual = tuple(value if math.isfinite(value) else None for value in got[span].tolist())
    return Neighbourhood(first, actual, tuple(want[span].tolist()))


def _max_relative(error: torch.Tensor, magnitude: torch.Tensor) -> float | None:
    relative = torch.where(magnitude > 0, error / magnitude, -1.0).max()
    return float(relative) if relative >= 0 else None


def _first(outliers: torch.Tensor, shape: torch.Size) -> tuple[tuple[int, ...], ...]:
    positions = outliers.nonzero().reshape(-1)[:MAX_OFFENDERS]
    return tuple(_index(int(position), shape) for position in positions)


def _index(position: int, shape: torch.Size) -> tuple[int, ...]:
    index: list[int] = []
    for extent in reversed(shape):
        position, at = divmod(position, extent)
        index.append(at)
    return tuple(reversed(index))
