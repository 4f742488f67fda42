# mypy: disable-error-code="valid-type, no-untyped-def"
"""The small kernel's PyPTO program. Importing this imports PyPTO, and its annotations must not become strings."""

from collections.abc import Callable
from typing import Any

import pypto

from tests.fakes.small_kernel import COLUMNS, INNER, SmallTuning

_FP32 = pypto.DT_FP32
_NZ = pypto.TileOpFormat.TILEOP_NZ


def entry(rows: int, tuning: SmallTuning) -> Callable[..., None]:
    """The entry function for `rows` tokens."""

    def small(
        x: pypto.Tensor([rows, INNER], pypto.DT_BF16),
        w: pypto.Tensor([INNER, COLUMNS], pypto.DT_BF16, format=_NZ),
        y: pypto.Tensor([rows, COLUMNS], pypto.DT_FP32),
        rounded: pypto.Tensor([rows, COLUMNS], pypto.DT_INT8),
    ):
        _record(x, w, y, rounded, rows, tuning)

    return small


def _record(x: Any, w: Any, y: Any, rounded: Any, rows: int, tuning: SmallTuning) -> None:
    for _ in pypto.loop(1, name="SMALL", idx_name="step"):
        pypto.set_semantic_label("matmul")
        if tuning.mistake == "python":
            raise ValueError("the kernel's own complaint")
        inner = [INNER // 2, INNER] if tuning.mistake != "tile" else [INNER, INNER // 2]
        pypto.set_cube_tile_shapes([tuning.rows, tuning.rows], inner, [COLUMNS, COLUMNS])
        product = pypto.matmul(x, w, _FP32)
        pypto.set_semantic_label("scale")
        pypto.set_vec_tile_shapes(tuning.rows, COLUMNS)
        if tuning.mistake == "buffer":
            product = _overflow(product, rows)
        scaled = pypto.mul(product, tuning.factor)
        pypto.assemble(scaled, [0, 0], y)
        integers = pypto.cast(scaled, pypto.DT_INT32, pypto.CastMode.CAST_RINT)
        halves = pypto.cast(integers, pypto.DT_FP16, pypto.CastMode.CAST_ROUND)
        pypto.assemble(pypto.cast(halves, pypto.DT_INT8, pypto.CastMode.CAST_TRUNC), [0, 0], rounded)


def _overflow(product: Any, rows: int) -> Any:
    """The same values through a tile of 1 MB, five times what a vector core holds."""
    pypto.set_vec_tile_shapes(rows, COLUMNS, 128)
    wide = pypto.expand_clone(pypto.reshape(product, [rows, COLUMNS, 1]), [rows, COLUMNS, 128])
    narrow = pypto.amax(wide, -1, keepdim=True)
    return pypto.reshape(narrow, [rows, COLUMNS])
