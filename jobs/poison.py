"""Outputs poisoned before a run, so that what the kernel never wrote shows; inputs checked after it.

A floating-point output is filled with one quiet NaN whose payload no arithmetic produces: a single element left over is
found for certain. An integer has no such value, and an INT8 kernel may rightly write any byte, so integer outputs get a
pseudo-random pattern from a secret seed, and only a stretch of unchanged bytes too long to be chance is reported. A
shorter hole is left to the other gates: its bytes differ from repeat to repeat and from the golden.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kernel.spec import Tensors, TensorSpec

# Bit patterns of quiet NaNs with a payload of A5 bytes.
_NAN_BITS = {
    torch.bfloat16: (torch.int16, 0x7FE5),
    torch.float16: (torch.int16, 0x7EA5),
    torch.float32: (torch.int32, 0x7FE5A5A5),
    torch.float64: (torch.int64, 0x7FFCA5A5A5A5A5A5),
}

# Eight bytes keep their value by chance once in 256⁸ places: never, in the few MB of an operator's outputs.
_MIN_UNCHANGED_BYTES = 8


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Elements of one output that hold what was there before the run."""

    output: str
    count: int
    total: int
    first: tuple[int, ...]  # index of the first of them

    def __str__(self) -> str:
        return f"output '{self.output}': {self.count} of {self.total} elements never written, first {list(self.first)}"


def poisoned(specs: Iterable[TensorSpec], seed: int) -> Tensors:
    """Fresh outputs as `specs` wants them, filled with poison drawn from `seed` (which the kernel must not know)."""
    return {spec.name: _poison(spec, seed) for spec in specs}


def unwritten(outputs: Tensors, specs: Iterable[TensorSpec], seed: int) -> list[Unwritten]:
    """The outputs that still hold poison from `poisoned(specs, seed)`, one entry an output; empty when all is well."""
    found = []
    for spec in specs:
        actual, poison = _raw(outputs[spec.name]), _raw(_poison(spec, seed))
        if actual.size != poison.size:
            continue  # a wrong shape or dtype, which the tolerance gate puts into words
        elements = _leftover(actual, poison, spec)
        if elements.size:
            first = np.unravel_index(int(elements[0]), spec.shape)
            index = tuple(int(axis) for axis in first)
            found.append(Unwritten(spec.name, int(elements.size), math.prod(spec.shape), index))
    return found


def deformed(outputs: Tensors, specs: Iterable[TensorSpec]) -> list[str]:
    """Return one line for each output that is no longer as it was handed over: resized, or its memory given back."""
    found = []
    for spec in specs:
        tensor = outputs[spec.name]
        if tuple(tensor.shape) != tuple(spec.shape) or tensor.dtype != spec.dtype:
            found.append(
                f"the kernel made output '{spec.name}' {tensor.dtype} {list(tensor.shape)}, "
                f"not {spec.dtype} {list(spec.shape)}"
            )
        elif not _is_whole(tensor):
            found.append(f"the kernel gave back the memory of output '{spec.name}'")
    return found


def digest(tensor: torch.Tensor) -> str:
    """SHA-256 (hex) of the raw bytes, so that −0 and NaN payloads count."""
    return hashlib.sha256(_raw(tensor).data).hexdigest()


def digests(tensors: Tensors) -> dict[str, str]:
    """`digest` of each tensor by name."""
    return {name: digest(tensor) for name, tensor in tensors.items()}


def changed(before: dict[str, str], tensors: Tensors) -> list[str]:
    """Names of the tensors whose bytes are no longer those of `before`."""
    return [name for name, tensor in tensors.items() if not _is_whole(tensor) or digest(tensor) != before[name]]


def _is_whole(tensor: torch.Tensor) -> bool:
    """Whether the memory of `tensor` is still there: to read it after it was given back would end the process."""
    return tensor.untyped_storage().nbytes() >= tensor.nbytes


def _poison(spec: TensorSpec, seed: int) -> torch.Tensor:
    if spec.dtype in _NAN_BITS:
        carrier, bits = _NAN_BITS[spec.dtype]
        return torch.full(spec.shape, bits, dtype=carrier).view(spec.dtype)
    # One stream an output: two outputs of one shape must not be poisoned alike, or a swap would go unseen.
    stream = np.random.default_rng([seed, *spec.name.encode()])
    tensor = torch.empty(spec.shape, dtype=spec.dtype)
    raw = _raw(tensor)
    raw[:] = np.frombuffer(stream.bytes(raw.size), dtype=np.uint8)
    return tensor


def _leftover(actual: NDArray[np.uint8], poison: NDArray[np.uint8], spec: TensorSpec) -> NDArray[np.int64]:
    """Positions, in memory order, of the elements that still hold poison."""
    width = spec.dtype.itemsize
    same = actual == poison
    if spec.dtype in _NAN_BITS:
        return np.flatnonzero(same.reshape(-1, width).all(axis=1))
    edges = np.flatnonzero(np.diff(same, prepend=False, append=False))
    starts, ends = edges[0::2], edges[1::2]
    long = (ends - starts) >= _MIN_UNCHANGED_BYTES
    stretches = [
        np.arange(-(-start // width), end // width) for start, end in zip(starts[long], ends[long], strict=True)
    ]
    return np.concatenate(stretches) if stretches else np.empty(0, dtype=np.int64)


def _raw(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """The bytes of `tensor` in memory order; shared with it where it lies contiguous on the host."""
    raw: NDArray[np.uint8] = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return raw
