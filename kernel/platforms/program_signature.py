"""Holds a PyPTO entry's own annotations to the operands it is called with.

PyPTO binds operands by position and reads memory by the annotation: two operands of one size in the wrong order, or a
dtype of the same width, would be computed with and not refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from kernel.errors import TensorError
from kernel.spec import Program

# Names of PyPTO's types behind `DT_`.
_NAMES = {
    torch.bfloat16: "BF16",
    torch.float16: "FP16",
    torch.float32: "FP32",
    torch.float64: "DOUBLE",
    torch.float8_e4m3fn: "FP8E4M3",
    torch.float8_e5m2: "FP8E5M2",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.uint8: "UINT8",
    torch.bool: "BOOL",
}


def require_annotations(program: Program, operands: Sequence[torch.Tensor]) -> None:
    """Raise `TensorError` unless the entry of `program` is annotated as what it is called with.

    `operands` are those of `program.arguments`, in the same order and in the program's shapes. What the entry does not
    annotate, and an extent that is not a number, is not checked.
    """
    parameters = list(inspect.signature(program.entry).parameters.values())
    given, named = [each.name for each in program.arguments], [each.name for each in parameters]
    if len(given) != len(named):
        raise TensorError(f"the program's entry takes {len(named)} operands ({', '.join(named)}), not {len(given)}")
    if sorted(given) == sorted(named) and given != named:
        raise TensorError(f"the program's entry takes ({', '.join(named)}); it is called with ({', '.join(given)})")
    for parameter, operand in zip(parameters, operands, strict=True):
        _require(parameter.name, parameter.annotation, operand)


def _require(name: str, annotation: Any, operand: torch.Tensor) -> None:
    dtype, shape = getattr(annotation, "dtype", None), getattr(annotation, "shape", None)
    wanted = _NAMES.get(operand.dtype)
    found = str(getattr(dtype, "name", dtype)).rpartition("DT_")[2]
    if dtype is not None and wanted is not None and found != wanted:
        raise TensorError(f"the program's entry takes '{name}' as {found}; the operand is {wanted}")
    if shape is None:
        return
    extents, actual = list(shape), list(operand.shape)
    known = all(
        not isinstance(each, int) or each < 0 or each == size for each, size in zip(extents, actual, strict=False)
    )
    if len(extents) != len(actual) or not known:
        raise TensorError(f"the program's entry takes '{name}' as {extents}; the operand is {actual}")
