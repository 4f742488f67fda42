"""Inputs and golden are computed once per content address, and a damaged file is replaced."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from jobs.cache import reference_address, reference_path
from jobs.reference import Reference, reference, require_seeded
from kernel.errors import KernelContractError
from kernel.spec import Tensors, TensorSpec
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

    assert kernel.computed == 2  # once, and once more to compare
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

    assert kernel.computed == 8


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

    assert kernel.computed == 4
    assert equal(whole, again)
    assert equal(whole, reference(kernel, "small", "integers", 0, tmp_path))
    assert kernel.computed == 4


def test_many_workers_compute_it_once(tmp_path: Path) -> None:
    kernel = Counting()
    workers = [threading.Thread(target=reference, args=(kernel, "small", "integers", 0, tmp_path)) for _ in range(4)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert kernel.computed == 2  # once, and once more to compare


class Doubling(SmallKernel):
    """Its golden works on its operand in place."""

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        inputs["x"].mul_(2)
        return super().golden(case, inputs)


class Taking(SmallKernel):
    """Its golden takes an operand out of what it is given."""

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        w = inputs.pop("w")
        return super().golden(case, {**inputs, "w": w})


class Freeing(SmallKernel):
    """Its golden gives back the memory of an operand."""

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        computed = super().golden(case, inputs)
        inputs["w"].untyped_storage().resize_(0)
        return computed


class Unseeded(SmallKernel):
    """Draws one operand from the process's own generator."""

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        return {**super().inputs(case, input_set, seed), "w": torch.randn(32, 128).to(torch.bfloat16)}


class Wandering(SmallKernel):
    """Its golden depends on how often it was called."""

    calls = 0

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        self.calls += 1
        return {**super().golden(case, inputs), "y": torch.full((16, 128), float(self.calls))}


@pytest.mark.parametrize(
    ("kernel", "complaint"),
    [
        (Doubling(), "golden() of case 'small' changes its input 'x'"),
        (Taking(), "golden() of case 'small' changes its input 'w'"),
        (Freeing(), "golden() of case 'small' changes its input 'w'"),
        (Unseeded(), "inputs() of case 'small' gives another 'w' when called again with the same seed"),
        (Wandering(), "golden() of case 'small' gives another 'y' when called again on the same inputs"),
    ],
)
def test_a_reference_that_is_none_is_refused_and_not_kept(kernel: SmallKernel, complaint: str, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KernelContractError) as refused:
            reference(kernel, "small", "integers", 0, tmp_path)
        assert complaint in str(refused.value)


class Echo(SmallKernel):
    """Its golden returns its operand, and its operands are views of one tensor."""

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        return (TensorSpec("x", (4, 2), torch.float32), TensorSpec("w", (2, 4), torch.float32))

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        return (TensorSpec("y", (4, 2), torch.float32), TensorSpec("rounded", (4, 4), torch.float32))

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        x = torch.randn(4, 2, generator=torch.Generator().manual_seed(seed))
        return {"x": x, "w": x.t()}

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        return {"y": inputs["x"], "rounded": inputs["x"][:, :1].expand(4, 4)}


def test_a_golden_may_return_its_operand(tmp_path: Path) -> None:
    first = reference(Echo(), "small", "integers", 0, tmp_path)
    read = reference(Echo(), "small", "integers", 0, tmp_path)

    assert equal(first, read)
    assert torch.equal(first.golden["y"], first.inputs["x"])
    first.golden["y"].zero_()
    assert not torch.equal(first.golden["y"], first.inputs["x"])
    assert torch.equal(first.inputs["w"], first.inputs["x"].t())


def test_inputs_that_the_seed_does_not_change_are_refused_where_the_seed_must_count(tmp_path: Path) -> None:
    class Constant(SmallKernel):
        def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
            return super().inputs(case, input_set, 0)

    require_seeded(SmallKernel(), "small", "integers", 7)
    with pytest.raises(KernelContractError, match="the same tensors for the seeds 7 and 6"):
        require_seeded(Constant(), "small", "integers", 7)
