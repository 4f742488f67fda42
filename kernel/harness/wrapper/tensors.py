"""Tensors of torch and NumPy: found in what a function is given, and read and written as bytes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

SCALARS = (bool, int, float, complex, str, bytes, type(None))
_MOST_DEPTH = 4  # of lists and mappings that hold tensors


def named(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Return every tensor and scalar in `value` with a name: its key, its place, or `name` where it is alone.

    Raises:
        ValueError: Lists and mappings are nested too deeply, as one is that holds itself.
    """
    if hasattr(value, "items") and hasattr(value, "keys"):
        pairs = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(str(place), each) for place, each in enumerate(value)]
    else:
        yield name, value
        return
    if depth >= _MOST_DEPTH:
        raise ValueError(f"'{name}' is nested too deeply")
    for key, each in pairs:
        yield from named(f"{name}.{key}" if depth else key, each, depth + 1)


def form(tensor: Any) -> list[Any]:
    """Return dtype and shape, as they are written to a file."""
    return [str(tensor.dtype).replace("torch.", ""), [int(each) for each in tensor.shape]]


def described(value: Any) -> dict[str, Any]:
    """Return the SHA-256 of the bytes, with shape and dtype; of a scalar that of its `repr`.

    Raises:
        TypeError: `value` is neither.
    """
    if isinstance(value, SCALARS):
        return {"sha256": hashlib.sha256(repr(value).encode()).hexdigest(), "shape": [], "dtype": type(value).__name__}
    bits = raw(value)
    dtype, shape = form(value)
    return {"sha256": hashlib.sha256(bits).hexdigest(), "shape": shape, "dtype": dtype}


def raw(value: Any) -> memoryview:
    """Return the bytes of a tensor in the order of its elements, so that −0 and NaN payloads count.

    Raises:
        TypeError: `value` is not a tensor, or has no bytes.
    """
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        return memoryview(plain.reshape(-1).view(torch.uint8).numpy())
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        if value.dtype.hasobject:
            raise TypeError("an array of Python objects has no bits")
        return memoryview(value.tobytes())
    raise TypeError(f"a value of type {type(value).__name__} is not a tensor of torch or NumPy")


def fill(tensor: Any, bits: bytes) -> None:
    """Give `tensor` the values that `bits` are the bytes of, in place: what else holds it sees them too."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(tensor, torch.Tensor):
        if bits:
            with torch.no_grad():
                tensor.copy_(torch.frombuffer(bytearray(bits), dtype=tensor.dtype).reshape(tensor.shape))
    elif numpy is not None:
        numpy.copyto(tensor, numpy.frombuffer(bits, dtype=tensor.dtype).reshape(tensor.shape))
