# mypy: disable-error-code="valid-type"
"""The operator as a PyPTO program. PyPTO is imported when a program is built and not with this package.

The entry's annotations are values PyPTO reads at run time: this module must not postpone their evaluation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kernel.paged_attention.operator import input_specs, output_specs
from kernel.paged_attention.tuning import Tuning
from kernel.spec import Argument, Program, TensorSpec


def build(dims: Mapping[str, int], tuning: Tuning) -> Program:
    """The program that computes `dims` under `tuning`."""
    return Program(
        entry=_entry(_Recorder(dims, tuning)),
        arguments=_arguments(dims),
        pass_options={"cube_nbuffer_setting": {-1: tuning.merge}, "vec_nbuffer_setting": {-1: 1}},
    )


def _arguments(dims: Mapping[str, int]) -> tuple[Argument, ...]:
    """Every operand as a matrix: queries and output a head a row, the cache a position a row."""
    inputs = tuple(Argument(spec.name, _matrix(spec, dims)) for spec in input_specs(dims))
    return inputs + tuple(Argument(spec.name, _matrix(spec, dims), output=True) for spec in output_specs(dims))


def _matrix(spec: TensorSpec, dims: Mapping[str, int]) -> tuple[int, int]:
    if spec.name in ("q", "out"):
        return dims["B"] * dims["HKV"] * dims["G"], dims["D"]
    if spec.name in ("k_cache", "v_cache"):
        return dims["N"] * dims["P"], dims["HKV"] * dims["D"]
    rows, columns = spec.shape
    return rows, columns


class _Recorder:
    """What the entry needs at trace time, in one closure variable.

    PyPTO evaluates the entry's source a second time in its own scope, where it sees only the names the entry's body
    uses: the annotations may refer to nothing else.
    """

    def __init__(self, dims: Mapping[str, int], tuning: Tuning) -> None:
        self._dims, self._tuning = dims, tuning
        self._shapes = {argument.name: list(argument.shape) for argument in _arguments(dims)}

    def tensor(self, name: str, dtype: str) -> Any:
        """The PyPTO tensor type of operand `name`."""
        import pypto

        return pypto.Tensor(self._shapes[name], getattr(pypto, f"DT_{dtype}"))

    def record(self, *operands: Any) -> None:
        """Trace the operator over `operands`, in the entry's order."""
        from kernel.paged_attention.stages import Operands, record

        record(Operands(*operands), self._dims, self._tuning)


def _entry(of: _Recorder) -> Callable[..., None]:
    def paged_attention(  # type: ignore[no-untyped-def]  # PyPTO refuses a return annotation
        q: of.tensor("q", "BF16"),
        k_cache: of.tensor("k_cache", "BF16"),
        v_cache: of.tensor("v_cache", "BF16"),
        table: of.tensor("table", "INT32"),
        length: of.tensor("length", "INT32"),
        out: of.tensor("out", "BF16"),
    ):
        of.record(q, k_cache, v_cache, table, length, out)

    return paged_attention
