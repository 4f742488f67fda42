"""One output against what was expected of it: bounds, shares, and what fails whatever the share."""

from __future__ import annotations

import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import ToleranceError
from kernel.spec import Tolerance
from kernel.tolerance import MAX_OFFENDERS, Comparison, compare

EXACT = Tolerance(atol=0.0, rtol=0.0, outlier_share=0.0)
Q = Tolerance(atol=1e-4, rtol=1 / 128, outlier_share=0.005)

values = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40)


def check(actual: torch.Tensor, expected: torch.Tensor, tolerance: Tolerance) -> Comparison:
    return compare("q", actual, expected, tolerance, "golden")


@given(values)
def test_a_tensor_is_within_every_tolerance_of_itself(numbers: list[float]) -> None:
    tensor = torch.tensor(numbers)

    found = check(tensor, tensor, EXACT)

    assert found.passed
    assert (found.outlier_share, found.max_abs_err, found.offenders) == (0.0, 0.0, ())
    assert found.max_rel_err == (0.0 if any(numbers) else None)


@given(values, values, st.floats(0, 10), st.floats(0, 1), st.floats(0, 1))
def test_it_agrees_with_the_definition_written_as_a_loop(
    left: list[float], right: list[float], atol: float, rtol: float, share: float
) -> None:
    size = min(len(left), len(right))
    actual, expected = torch.tensor(left[:size]), torch.tensor(right[:size])

    found = check(actual, expected, Tolerance(atol, rtol, share))

    pairs = list(zip(actual.tolist(), expected.tolist(), strict=True))
    outliers = [i for i, (a, e) in enumerate(pairs) if not abs(a - e) <= abs(e) * rtol + atol]
    assert found.outlier_share == len(outliers) / size
    assert found.passed == (len(outliers) / size <= share)
    assert found.offenders == tuple((i,) for i in outliers[:MAX_OFFENDERS])
    assert found.max_abs_err == max(abs(a - e) for a, e in pairs)


@given(values, st.integers(0, 39), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_one_nan_or_inf_fails_even_where_every_element_may_be_an_outlier(
    numbers: list[float], at: int, bad: float
) -> None:
    expected = torch.tensor(numbers)
    actual = expected.clone()
    actual[at % len(numbers)] = bad

    found = check(actual, expected, Tolerance(1e9, 1.0, 1.0))

    assert not found.passed
    assert found.nonfinite == 1
    assert found.worst_index == (at % len(numbers),)
    assert (found.worst_actual, found.max_abs_err, found.max_rel_err) == (None, None, None)


def test_an_error_exactly_at_the_bound_passes_and_the_next_float_does_not() -> None:
    expected = torch.tensor([1.0], dtype=torch.float64)
    tolerance = Tolerance(atol=0.25, rtol=0.5, outlier_share=0.0)

    assert check(expected + 0.75, expected, tolerance).passed
    beyond = torch.nextafter(expected + 0.75, torch.tensor([2.0], dtype=torch.float64))
    assert not check(beyond, expected, tolerance).passed


def test_a_share_exactly_at_the_allowed_one_passes_and_one_more_element_does_not() -> None:
    expected = torch.zeros(1000)
    actual = expected.clone()
    actual[:5] = 1.0
    assert check(actual, expected, Q).passed

    actual[5] = 1.0
    assert not check(actual, expected, Q).passed


def test_the_worst_element_is_the_one_furthest_over_its_own_bound() -> None:
    expected = torch.tensor([[100.0, 0.0], [1.0, 1.0]])
    actual = torch.tensor([[100.5, 0.0], [1.2, 1.0]])

    found = check(actual, expected, Tolerance(atol=0.0, rtol=0.01, outlier_share=0.0))

    assert found.worst_index == (1, 0)
    assert found.worst_expected == 1.0
    assert found.worst_actual == pytest.approx(1.2)
    assert found.max_abs_err == pytest.approx(0.5)
    assert found.max_rel_err == pytest.approx(0.2)
    assert found.offenders == ((1, 0),)


def test_only_the_first_few_offenders_are_kept_in_memory_order() -> None:
    found = check(torch.ones(4, 4), torch.zeros(4, 4), EXACT)

    assert found.offenders == ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0))
    assert found.max_rel_err is None


def test_int8_differences_do_not_wrap_around() -> None:
    actual, expected = torch.tensor([127, -128], dtype=torch.int8), torch.tensor([-128, 127], dtype=torch.int8)

    found = check(actual, expected, Tolerance(atol=1.0, rtol=0.0, outlier_share=0.0))

    assert not found.passed
    assert found.max_abs_err == 255.0


def test_a_comparison_says_what_it_compared_with_and_how_much_it_allowed() -> None:
    for actual in (torch.ones(2), torch.ones(3), torch.ones(0)):
        found = compare("q", actual, torch.ones(0) if not actual.numel() else torch.ones(2), Q, "staged")
        assert (found.reference, found.allowed_outlier_share) == ("staged", 0.005)


def test_what_cannot_be_compared_and_what_is_empty_have_no_numbers() -> None:
    wrong = check(torch.zeros(1), torch.zeros(2), Q)

    assert wrong == Comparison(False, "golden", 1.0, 0.005, problem="'q' has shape [1], expected [2]")
    assert check(torch.zeros(0), torch.zeros(0), Q) == Comparison(True, "golden", 0.0, 0.005, max_abs_err=0.0)


def test_no_error_where_none_is_allowed_is_the_smallest() -> None:
    found = check(torch.tensor([0.0, 0.0, 3.0]), torch.tensor([0.0, 0.0, 3.0]), EXACT)

    assert found.errors is not None
    assert found.errors.counts == (3,) + (0,) * (len(found.errors.edges))


def test_int8_off_by_one_is_within_one() -> None:
    actual, expected = torch.tensor([-7, 8], dtype=torch.int8), torch.tensor([-8, 8], dtype=torch.int8)

    assert check(actual, expected, Tolerance(atol=1.0, rtol=0.0, outlier_share=0.0)).passed


@pytest.mark.parametrize("shape", [(0,), (4, 0), (0, 3)])
def test_an_empty_output_passes(shape: tuple[int, ...]) -> None:
    assert check(torch.empty(shape), torch.empty(shape), EXACT).passed


def test_a_wrong_shape_or_dtype_is_told_in_words() -> None:
    expected = torch.zeros(2, 3)

    assert check(torch.zeros(3, 2), expected, Q).problem == "'q' has shape [3, 2], expected [2, 3]"
    wrong = check(torch.zeros(2, 3, dtype=torch.bfloat16), expected, Q)
    assert wrong.problem == "'q' has dtype torch.bfloat16, expected torch.float32"
    assert not wrong.passed


def test_a_golden_that_is_not_finite_is_no_reference() -> None:
    nan = torch.tensor([math.nan])

    found = check(nan, nan, Tolerance(1.0, 1.0, 1.0))

    assert not found.passed
    assert "itself" in found.problem


def test_a_scalar_has_an_empty_index() -> None:
    found = check(torch.tensor(2.0), torch.tensor(1.0), EXACT)

    assert (found.worst_index, found.offenders) == ((), ((),))


def test_four_million_elements_take_well_under_a_second() -> None:
    expected = torch.randn(128, 64, 512).bfloat16()
    begin = time.process_time()  # a busy machine does not lengthen it

    check(expected, expected, Q)

    assert time.process_time() - begin < 3.0  # 0.4 s; a loop over elements would take minutes


@given(values, values)
def test_the_histogram_counts_every_element_once_and_outliers_above_one(left: list[float], right: list[float]) -> None:
    size = min(len(left), len(right))
    actual, expected = torch.tensor(left[:size]), torch.tensor(right[:size])

    found = check(actual, expected, Q)

    assert found.errors is not None
    assert sum(found.errors.counts) == size
    above = sum(found.errors.counts[found.errors.edges.index(1.0) + 1 :])
    assert above == round(found.outlier_share * size)


def test_the_histogram_is_in_units_of_the_bound() -> None:
    actual = torch.tensor([0.0, 0.004, 0.9, 1.0, 1.5, 63.0, 65.0, math.nan, math.inf])

    found = check(actual, torch.zeros(9), Tolerance(atol=1.0, rtol=0.0, outlier_share=0.0))

    assert found.errors is not None
    by_edge = dict(zip((*found.errors.edges, math.inf), found.errors.counts, strict=True))
    assert by_edge == {
        0.0: 1,
        1 / 64: 1,
        1 / 16: 0,
        0.25: 0,
        0.5: 0,
        1.0: 2,
        2.0: 1,
        4.0: 0,
        16.0: 0,
        64.0: 1,
        math.inf: 3,
    }


def test_the_neighbourhood_is_the_worst_elements_own_row() -> None:
    actual = torch.zeros(2, 6)
    actual[1, 1], actual[0, 5], actual[1, 3] = 9.0, 1.0, math.inf
    expected = torch.arange(12.0).reshape(2, 6) * 0.0

    found = check(actual, expected, EXACT)

    assert found.worst_index == (1, 3)
    assert found.around_worst is not None
    assert (found.around_worst.first, found.around_worst.actual) == (0, (0.0, 9.0, 0.0, None, 0.0, 0.0))
    assert found.around_worst.expected == (0.0,) * 6


def test_a_long_row_is_cut_around_the_worst() -> None:
    actual = torch.zeros(100)
    actual[50] = 1.0

    found = check(actual, torch.zeros(100), EXACT).around_worst

    assert found is not None
    assert (found.first, found.actual) == (46, (0.0,) * 4 + (1.0,) + (0.0,) * 4)


REAL = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
WHOLE = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8]
COMPLEX = [torch.complex128, torch.complex64, torch.complex32]


@pytest.mark.parametrize("dtype", [*REAL, *WHOLE, *COMPLEX, torch.bool, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz])
def test_one_wrong_element_is_found_in_every_dtype(dtype: torch.dtype) -> None:
    expected = torch.tensor([0, 1, 1, 0, 1, 0]).to(dtype)
    actual = torch.tensor([0, 1, 0, 0, 1, 0]).to(dtype)

    assert check(expected.clone(), expected, EXACT).passed
    found = check(actual, expected, EXACT)
    assert (found.passed, found.worst_index, found.max_abs_err) == (False, (2,), 1.0)
    assert check(actual, expected, Tolerance(1.0, 0.0, 0.0)).passed


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint64])
@pytest.mark.parametrize("start", [2**53, 2**60, 2**63 - 16])
def test_integers_are_compared_as_integers_however_large(dtype: torch.dtype, start: int) -> None:
    expected = torch.arange(start, start + 8, dtype=torch.int64).to(dtype)
    actual = torch.arange(start + 1, start + 9, dtype=torch.int64).to(dtype)

    found = check(actual, expected, EXACT)
    assert (found.passed, found.outlier_share, found.max_abs_err) == (False, 1.0, 1.0)
    assert check(actual, expected, Tolerance(1.0, 0.0, 0.0)).passed


def test_the_ends_of_an_integer_type_are_as_far_apart_as_they_are() -> None:
    least, most = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    found = check(torch.tensor([least]), torch.tensor([most]), Tolerance(2.0**63, 0.0, 0.0))

    assert (found.passed, found.max_abs_err) == (False, 2.0**64)
    unsigned = torch.tensor([-1]).view(torch.uint64)  # 2^64 − 1
    assert check(unsigned, torch.zeros(1, dtype=torch.uint64), EXACT).max_abs_err == 2.0**64


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("wrong", [1 + 3j, 2 + 2j])
def test_both_parts_of_a_complex_number_count(dtype: torch.dtype, wrong: complex) -> None:
    expected = torch.tensor([1 + 2j, 0j]).to(dtype)
    found = check(torch.tensor([wrong, 0j]).to(dtype), expected, Tolerance(0.5, 0.0, 0.0))

    assert (found.passed, found.outlier_share, found.worst_index) == (False, 0.5, (0,))


@pytest.mark.parametrize("part", [complex(math.nan, 0), complex(0, math.nan), complex(0, math.inf)])
def test_a_complex_number_that_is_not_finite_fails_whatever_the_share(part: complex) -> None:
    found = check(torch.tensor([part, 0j]), torch.zeros(2, dtype=torch.complex64), Tolerance(1.0, 0.0, 1.0))

    assert (found.passed, found.nonfinite) == (False, 1)


@pytest.mark.parametrize("dtype", REAL)
def test_nan_fails_and_minus_zero_is_zero(dtype: torch.dtype) -> None:
    zero, nan = torch.zeros(2).to(dtype), torch.tensor([0.0, math.nan]).to(dtype)

    assert not check(nan, zero, Tolerance(1.0, 0.0, 1.0)).passed
    assert check((-torch.zeros(2)).to(dtype), zero, EXACT).passed
    assert "itself holds NaN" in check(zero, nan, EXACT).problem


def test_values_that_cannot_be_read_are_no_pass() -> None:
    strange = torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)

    found = check(strange, strange, EXACT)
    assert not found.passed
    assert "cannot be read as numbers" in found.problem


@pytest.mark.parametrize(
    ("atol", "rtol", "share", "named"),
    [
        (-1e-9, 0.0, 0.0, "atol"),
        (math.nan, 0.0, 0.0, "atol"),
        (0.0, math.inf, 0.0, "rtol"),
        (0.0, -1.0, 0.0, "rtol"),
        (0.0, 0.0, 5.0, "outlier_share"),
        (0.0, 0.0, -0.1, "outlier_share"),
        (0.0, 0.0, math.nan, "outlier_share"),
        (True, 0.0, 0.0, "atol"),
        ("1", 0.0, 0.0, "atol"),
    ],
)
def test_a_tolerance_is_checked_when_it_is_made(atol: float, rtol: float, share: float, named: str) -> None:
    with pytest.raises(ToleranceError, match=named):
        Tolerance(atol, rtol, share)


def test_a_tolerance_changed_behind_its_back_is_refused_where_it_is_used() -> None:
    forged = Tolerance(0.0, 0.0, 0.0)
    object.__setattr__(forged, "outlier_share", 5.0)

    with pytest.raises(ToleranceError, match="outlier_share"):
        check(torch.ones(1), torch.zeros(1), forged)
