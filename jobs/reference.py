"""Inputs and golden of a case, computed once per content address and shared through the cache by all workers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from jobs import poison
from jobs.cache import reference_address, reference_path
from kernel.errors import KernelContractError
from kernel.spec import Kernel, Tensors, TensorSpec
from kernel.validation import require_specified

_INPUT, _GOLDEN = "input/", "golden/"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a trial feeds its kernel, and the reference outputs for it."""

    inputs: Tensors
    golden: Tensors


def reference(kernel: Kernel, case: str, input_set: str, seed: int, cache_dir: Path) -> Reference:
    """Inputs and golden of `case`, from the cache where they are there and whole, else computed and put there.

    The tensors are the caller's own and may be written. A damaged file is replaced. While one worker computes, the
    others wait for it.

    Raises:
        KernelContractError: The kernel's inputs or golden are not as it specifies them, are not the same when they are
            computed a second time, or the golden changes its inputs.
        Exception: Whatever the kernel's code raises.
    """
    path = reference_path(cache_dir, reference_address(kernel, case, input_set, seed))
    found = _load(path, kernel, case)
    if found is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = _load(path, kernel, case)  # another worker may have been faster
        if found is None:
            found = _compute(kernel, case, input_set, seed)
            _save(path, found)
        return found


def require_seeded(kernel: Kernel, case: str, input_set: str, seed: int) -> None:
    """Raise `KernelContractError` unless another seed than `seed` draws other inputs of `case`.

    Where a program is not trusted, the seed is what it cannot know; inputs that do not depend on it are known.
    """
    with _one_thread():
        drawn, other = _inputs(kernel, case, input_set, seed), _inputs(kernel, case, input_set, seed ^ 1)
    if drawn and not poison.changed(poison.digests(drawn), other):
        problem = f"inputs() of case '{case}' gives the same tensors for the seeds {seed} and {seed ^ 1}"
        raise KernelContractError(kernel.name, problem, "draw them from torch.Generator().manual_seed(seed)")


def _compute(kernel: Kernel, case: str, input_set: str, seed: int) -> Reference:
    """Everything is computed twice, once: a reference that varies makes every verdict on it a matter of chance."""
    inputs = inputs_of(kernel, case, input_set, seed)
    return Reference(inputs, golden_of(kernel, case, inputs))


def inputs_of(kernel: Kernel, case: str, input_set: str, seed: int) -> Tensors:
    """The inputs of `case`, computed twice. Raises `KernelContractError`, and whatever the kernel's code raises."""
    with _one_thread():
        inputs = _inputs(kernel, case, input_set, seed)
        before = poison.digests(inputs)
        if varies := poison.changed(before, _inputs(kernel, case, input_set, seed)):
            problem = f"inputs() of case '{case}' gives another {_quoted(varies)} when called again with the same seed"
            raise KernelContractError(kernel.name, problem, "draw everything from torch.Generator().manual_seed(seed)")
    return inputs


def golden_of(kernel: Kernel, case: str, inputs: Tensors) -> Tensors:
    """The golden of `inputs`, computed twice. Raises `KernelContractError`, and whatever the kernel's code raises."""
    before = poison.digests(inputs)
    with _one_thread():
        golden = _golden(kernel, case, inputs, before)
        if varies := poison.changed(poison.digests(golden), _golden(kernel, case, inputs, before)):
            problem = f"golden() of case '{case}' gives another {_quoted(varies)} when called again on the same inputs"
            raise KernelContractError(kernel.name, problem, "compute it from its inputs alone")
    return golden


def _inputs(kernel: Kernel, case: str, input_set: str, seed: int) -> Tensors:
    specs = kernel.input_specs(case)
    inputs = kernel.inputs(case, input_set, seed)
    require_specified(kernel, "inputs()", case, inputs, specs)
    return _own_copies(inputs, specs)


def _golden(kernel: Kernel, case: str, inputs: Tensors, before: dict[str, str]) -> Tensors:
    """The golden of copies of `inputs`, whose digests are `before`: the program's inputs are out of its reach."""
    specs = kernel.output_specs(case)
    given = _own_copies(inputs, kernel.input_specs(case))
    golden = kernel.golden(case, given)
    require_specified(kernel, "golden()", case, golden, specs)
    gone = [name for name in before if name not in given]
    if changed := gone or poison.changed(before, {name: given[name] for name in before}):
        problem = f"golden() of case '{case}' changes its input {_quoted(changed)}"
        raise KernelContractError(kernel.name, problem, "let it work on a copy, as inputs['x'].clone()")
    return _own_copies(golden, specs)


def _own_copies(tensors: Tensors, specs: Iterable[TensorSpec]) -> Tensors:
    """Copies in the order of `specs`: a golden may return its operand, and two operands may be views of one tensor."""
    copied = {spec.name: tensors[spec.name].detach() for spec in specs}
    return {name: each.clone(memory_format=torch.contiguous_format) for name, each in copied.items()}


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A sum's order must not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _save(path: Path, computed: Reference) -> None:
    tensors = {_INPUT + name: tensor for name, tensor in computed.inputs.items()}
    tensors.update({_GOLDEN + name: tensor for name, tensor in computed.golden.items()})
    fresh = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file(tensors, fresh)
    fresh.replace(path)


def _load(path: Path, kernel: Kernel, case: str) -> Reference | None:
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError):  # cut short by a full disk or a killed copy: computed again
        return None
    inputs = _part(tensors, _INPUT, kernel.input_specs(case))
    golden = _part(tensors, _GOLDEN, kernel.output_specs(case))
    return Reference(inputs, golden) if inputs is not None and golden is not None else None


def _part(tensors: Mapping[str, torch.Tensor], prefix: str, specs: Iterable[TensorSpec]) -> Tensors | None:
    """The tensors under `prefix` in the kernel's order; None where one is missing or not as specified."""
    part: Tensors = {}
    for spec in specs:
        tensor = tensors.get(prefix + spec.name)
        if tensor is None or tuple(tensor.shape) != spec.shape or tensor.dtype != spec.dtype:
            return None
        part[spec.name] = tensor
    return part
