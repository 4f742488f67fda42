"""An entry's annotations are held to its operands before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kernel.errors import TensorError
from kernel.platforms.program_signature import require_annotations
from kernel.spec import Argument, Program

ARGUMENTS = (Argument("x", (4, 8)), Argument("w", (8, 4)), Argument("y", (4, 4), output=True))
OPERANDS = (
    torch.zeros(4, 8, dtype=torch.bfloat16),
    torch.zeros(8, 4, dtype=torch.int8),
    torch.zeros(4, 4, dtype=torch.float32),
)


def typed(dtype: str, *shape: Any) -> Any:
    return SimpleNamespace(dtype=SimpleNamespace(name=f"DT_{dtype}"), shape=list(shape))


def annotated(**types: Any) -> Callable[..., None]:
    """A function with these parameters, in this order."""
    space: dict[str, Any] = {}
    exec(f"def entry({', '.join(types)}): pass", space)
    entry: Callable[..., None] = space["entry"]
    entry.__annotations__ = types
    return entry


def complaint(types: dict[str, Any]) -> str:
    """What is said of an entry with these annotations; empty where they fit."""
    try:
        require_annotations(Program(annotated(**types), ARGUMENTS), OPERANDS)
    except TensorError as error:
        return str(error)
    return ""


X, W, Y = typed("BF16", 4, 8), typed("INT8", 8, 4), typed("FP32", 4, 4)


@pytest.mark.parametrize(
    "types",
    [
        {"x": X, "w": W, "y": Y},
        {"a": X, "b": W, "c": Y},  # names of its own
        {"x": typed("BF16", -1, 8), "w": typed("INT8", "k", 4), "y": Y},  # extents known at run time only
        {"x": int, "w": W, "y": "y"},  # annotations that are no tensors
    ],
)
def test_an_entry_that_takes_its_operands_is_right(types: dict[str, Any]) -> None:
    assert complaint(types) == ""
    assert "the operand is BF16" in complaint({name: typed("FP64", 4) for name in types})


@pytest.mark.parametrize(
    ("types", "told"),
    [
        ({"x": X, "w": W}, "takes 2 operands (x, w), not 3"),
        ({"w": W, "x": X, "y": Y}, "takes (w, x, y); it is called with (x, w, y)"),
        ({"x": typed("FP16", 4, 8), "w": W, "y": Y}, "takes 'x' as FP16; the operand is BF16"),
        ({"x": X, "w": typed("UINT8", 8, 4), "y": Y}, "takes 'w' as UINT8; the operand is INT8"),
        ({"x": X, "w": W, "y": typed("INT32", 4, 4)}, "takes 'y' as INT32; the operand is FP32"),
        ({"x": typed("BF16", 8, 4), "w": W, "y": Y}, "takes 'x' as [8, 4]; the operand is [4, 8]"),
        ({"x": X, "w": W, "y": typed("FP32", 16)}, "takes 'y' as [16]; the operand is [4, 4]"),
    ],
)
def test_another_order_dtype_or_shape_is_refused(types: dict[str, Any], told: str) -> None:
    assert told in complaint(types)
