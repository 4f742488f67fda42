"""What a PyPTO entry function needs at trace time, in one closure variable.

PyPTO evaluates the entry's source a second time in its own scope, where it sees only the names the entry's body uses:
the annotations may refer to nothing else. PyPTO takes two seconds to import, so it is imported when a program is built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernel.spec import Argument


class Recorder:
    """The types of a program's operands, and what records the operator over them."""

    def __init__(self, arguments: Sequence[Argument], trace: Callable[..., None]) -> None:
        """`trace` takes the operands in the entry's order; it is called while PyPTO traces the entry."""
        self._arguments = {argument.name: argument for argument in arguments}
        self._trace = trace

    def tensor(self, name: str, dtype: str) -> Any:
        """The PyPTO tensor type of operand `name`; `dtype` as PyPTO writes it after `DT_`."""
        import pypto

        argument = self._arguments[name]
        layout = {"format": pypto.TileOpFormat.TILEOP_NZ} if argument.nz else {}
        return pypto.Tensor(list(argument.shape), getattr(pypto, f"DT_{dtype}"), **layout)

    def record(self, *operands: Any) -> None:
        """Trace the operator over `operands`."""
        self._trace(*operands)
