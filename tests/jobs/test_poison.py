"""Outputs a kernel leaves unwritten are found whatever their dtype; written ones are never accused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import poison
from kernel.spec import TensorSpec

FLOATS = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
INTEGERS = [torch.int8, torch.int32, torch.int64]


def spec(dtype: torch.dtype, *shape: int) -> list[TensorSpec]:
    return [TensorSpec("out", shape or (16, 64), dtype)]


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_an_output_nobody_wrote_is_reported_whole(dtype: torch.dtype) -> None:
    specs = spec(dtype)

    (found,) = poison.unwritten(poison.poisoned(specs, 1), specs, 1)

    assert (found.output, found.count, found.total, found.first) == ("out", 1024, 1024, (0, 0))
    assert str(found) == "output 'out': 1024 of 1024 elements never written, first [0, 0]"


@pytest.mark.parametrize("dtype", FLOATS)
def test_one_element_left_over_in_a_float_output_is_found(dtype: torch.dtype) -> None:
    specs = spec(dtype)
    outputs = poison.poisoned(specs, 1)
    hole = outputs["out"][7, 63].clone()
    outputs["out"].zero_()
    outputs["out"][7, 63] = hole

    (found,) = poison.unwritten(outputs, specs, 1)

    assert (found.count, found.first) == (1, (7, 63))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_row_left_over_in_an_integer_output_is_found(dtype: torch.dtype) -> None:
    specs = spec(dtype)
    outputs = poison.poisoned(specs, 1)
    hole = outputs["out"][5].clone()
    outputs["out"].zero_()
    outputs["out"][5] = hole

    (found,) = poison.unwritten(outputs, specs, 1)

    assert found.first == (5, 0)
    assert 60 <= found.count <= 64  # a byte of the pattern may be zero, too


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_computed_nan_is_not_taken_for_poison(dtype: torch.dtype) -> None:
    specs = spec(dtype)
    zero = torch.zeros(16, 64, dtype=dtype)

    assert poison.unwritten({"out": zero / zero}, specs, 1) == []
    assert poison.unwritten({"out": torch.full((16, 64), float("nan"), dtype=dtype)}, specs, 1) == []


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=20)
def test_random_bytes_are_not_taken_for_poison(seed: int) -> None:
    specs = spec(torch.int8, 128, 1024)
    generator = torch.Generator().manual_seed(seed)
    written = torch.randint(-128, 128, (128, 1024), generator=generator).to(torch.int8)

    assert poison.unwritten({"out": written}, specs, seed) == []


def test_two_seeds_and_two_outputs_are_poisoned_differently() -> None:
    twins = [TensorSpec("a", (64,), torch.int8), TensorSpec("b", (64,), torch.int8)]

    first, second = poison.poisoned(twins, 1), poison.poisoned(twins, 2)

    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], second["a"])


def test_an_empty_output_has_nothing_to_write() -> None:
    for dtype in FLOATS + INTEGERS:
        specs = spec(dtype, 0, 4)
        assert poison.unwritten(poison.poisoned(specs, 1), specs, 1) == []


def test_a_changed_input_is_named_even_where_only_a_sign_of_zero_changed() -> None:
    inputs = {"x": torch.zeros(4), "w": torch.ones(4)}
    before = poison.digests(inputs)
    assert poison.changed(before, inputs) == []

    inputs["x"][2] = -0.0

    assert poison.changed(before, inputs) == ["x"]


def test_digests_count_the_bytes_of_every_dtype() -> None:
    tensors = {str(dtype): torch.zeros(3, dtype=dtype) for dtype in FLOATS + INTEGERS}

    assert len(set(poison.digests(tensors).values())) == 4  # 6, 12, 24 and 3 zero bytes
    assert poison.digest(torch.tensor(1.0)) == poison.digest(torch.tensor([1.0]))
