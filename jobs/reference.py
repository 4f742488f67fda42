"""Inputs and golden of a case, computed once per content address and shared through the cache by all workers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from jobs.cache import reference_address, reference_path
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
    others wait for it. Raises `KernelLoadError` where the kernel's inputs or golden are not as it specifies them, and
    whatever its code raises.
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


def _compute(kernel: Kernel, case: str, input_set: str, seed: int) -> Reference:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a sum's order must not depend on how many cores there are
    try:
        inputs = kernel.inputs(case, input_set, seed)
        require_specified(kernel, "inputs()", case, inputs, kernel.input_specs(case))
        golden = kernel.golden(case, inputs)
        require_specified(kernel, "golden()", case, golden, kernel.output_specs(case))
    finally:
        torch.set_num_threads(threads)
    return Reference(inputs, golden)


def _save(path: Path, computed: Reference) -> None:
    tensors = {_INPUT + name: tensor.contiguous() for name, tensor in computed.inputs.items()}
    tensors.update({_GOLDEN + name: tensor.contiguous() for name, tensor in computed.golden.items()})
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
