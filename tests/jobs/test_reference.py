"""Inputs and golden are computed once per content address, and a damaged file is replaced."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from jobs.cache import reference_address, reference_path
from jobs.reference import Reference, reference
from kernel.spec import Tensors
from tests.fakes.small_kernel import SmallKernel


class Counting(SmallKernel):
    """Counts how often its golden is computed."""

    def __init__(self) -> None:
        self.computed = 0

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        self.computed += 1
        return super().golden(case, inputs)


def equal(left: Reference, right: Reference) -> bool:
    return all(
        list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in ((left.inputs, right.inputs), (left.golden, right.golden))
    )


def test_the_second_call_reads_what_the_first_computed(tmp_path: Path) -> None:
    kernel = Counting()

    first = reference(kernel, "small", "integers", 3, tmp_path)
    second = reference(kernel, "small", "integers", 3, tmp_path)

    assert kernel.computed == 1
    assert equal(first, second)
    assert list(second.inputs) == ["x", "w"]
    assert torch.equal(first.golden["y"], SmallKernel().golden("small", first.inputs)["y"])


def test_another_seed_set_or_case_is_another_reference(tmp_path: Path) -> None:
    kernel = Counting()

    for case, input_set, seed in [
        ("small", "integers", 0),
        ("small", "integers", 1),
        ("small", "shifted", 0),
        ("tall", "integers", 0),
    ]:
        reference(kernel, case, input_set, seed, tmp_path)

    assert kernel.computed == 4


def test_the_tensors_are_the_callers_own(tmp_path: Path) -> None:
    kernel = Counting()
    before = reference(kernel, "small", "integers", 0, tmp_path)
    kept = before.inputs["x"].clone()

    before.inputs["x"].add_(1)

    assert torch.equal(reference(kernel, "small", "integers", 0, tmp_path).inputs["x"], kept)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_file_cut_short_is_computed_again(keep: int, tmp_path: Path) -> None:
    kernel = Counting()
    whole = reference(kernel, "small", "integers", 0, tmp_path)
    path = reference_path(tmp_path, reference_address(kernel, "small", "integers", 0))
    path.write_bytes(path.read_bytes()[:keep])

    again = reference(kernel, "small", "integers", 0, tmp_path)

    assert kernel.computed == 2
    assert equal(whole, again)
    assert equal(whole, reference(kernel, "small", "integers", 0, tmp_path))
    assert kernel.computed == 2


def test_many_workers_compute_it_once(tmp_path: Path) -> None:
    kernel = Counting()
    workers = [threading.Thread(target=reference, args=(kernel, "small", "integers", 0, tmp_path)) for _ in range(4)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert kernel.computed == 1
