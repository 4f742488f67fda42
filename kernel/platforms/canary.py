"""A small known program that every platform runs to tell whether a device is fit: (a @ b) + c, in a few tasks.

Importing this imports PyPTO; a platform does so only once it is prepared.
"""

# PyPTO evaluates a program's annotations, so they must not become strings (no `annotations` from `__future__`); they
# are calls, which mypy does not take for types, and a return annotation is refused.
# mypy: disable-error-code="valid-type, no-untyped-def"

import pypto
import torch

from kernel.spec import Argument, Program, Tensors

ROWS, INNER, COLUMNS = 16, 64, 64
_NZ = pypto.TileOpFormat.TILEOP_NZ


def program() -> Program:
    """`out = a @ b + c` with a [16, 64] BF16, b [64, 64] BF16 in NZ layout, c and out [16, 64] FP32."""
    return Program(
        entry=_canary,
        arguments=(
            Argument("a", (ROWS, INNER)),
            Argument("b", (INNER, COLUMNS), nz=True),
            Argument("c", (ROWS, COLUMNS)),
            Argument("out", (ROWS, COLUMNS), output=True),
        ),
    )


def _canary(
    a: pypto.Tensor([ROWS, INNER], pypto.DT_BF16),
    b: pypto.Tensor([INNER, COLUMNS], pypto.DT_BF16, format=_NZ),
    c: pypto.Tensor([ROWS, COLUMNS], pypto.DT_FP32),
    out: pypto.Tensor([ROWS, COLUMNS], pypto.DT_FP32),
):
    for _ in pypto.loop(1, name="CANARY", idx_name="step"):
        pypto.set_semantic_label("canary")
        pypto.set_cube_tile_shapes([ROWS, ROWS], [INNER, INNER], [COLUMNS, COLUMNS])
        pypto.set_vec_tile_shapes(ROWS, COLUMNS)
        pypto.assemble(pypto.add(pypto.matmul(a, b, pypto.DT_FP32), c), [0, 0], out)


def inputs() -> Tensors:
    """Small integers, so that every partial sum is exact and the answer has one right bit pattern."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randint(-4, 5, (ROWS + INNER, COLUMNS), generator=generator)
    a, b = draw[:ROWS].to(torch.bfloat16), draw[ROWS:].to(torch.bfloat16)
    return {"a": a.contiguous(), "b": b.contiguous(), "c": draw[:ROWS].float() / 2}


def expected(operands: Tensors) -> torch.Tensor:
    """The one right answer, [16, 64] FP32."""
    return operands["a"].float() @ operands["b"].float() + operands["c"]


def blank_outputs() -> Tensors:
    """The output filled with NaN, so that an element the program never wrote shows."""
    return {"out": torch.full((ROWS, COLUMNS), float("nan"))}
