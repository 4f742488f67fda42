# mypy: disable-error-code="valid-type"
"""The operator as a PyPTO program. PyPTO is imported when a program is built and not with this package.

The entry's annotations are values PyPTO reads at run time: this module must not postpone their evaluation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kernel.spec import Argument, Program
from kernel.swiglu_int8.operator import input_specs, output_specs
from kernel.swiglu_int8.tuning import Tuning


def build(dims: Mapping[str, int], tuning: Tuning) -> Program:
    """The program that computes `dims` under `tuning`."""
    inputs = tuple(Argument(spec.name, spec.shape, nz=spec.name == "w") for spec in input_specs(dims))
    outputs = tuple(Argument(spec.name, spec.shape, output=True) for spec in output_specs(dims))
    return Program(
        entry=_entry(_Recorder(dims, tuning)),
        arguments=inputs + outputs,
        pass_options={"cube_nbuffer_setting": {-1: tuning.merge}, "vec_nbuffer_setting": {-1: 1}},
    )


class _Recorder:
    """What the entry needs at trace time, in one closure variable.

    PyPTO evaluates the entry's source a second time in its own scope, where it sees only the names the entry's body
    uses: the annotations may refer to nothing else.
    """

    def __init__(self, dims: Mapping[str, int], tuning: Tuning) -> None:
        self._dims, self._tuning = dims, tuning

    def tensor(self, rows: str, columns: str, dtype: str, *, nz: bool = False) -> Any:
        """The PyPTO tensor type of [rows, columns]: symbols of the shape table, "2F" twice F."""
        import pypto

        extents = {**self._dims, "1": 1, "2F": 2 * self._dims["F"]}
        layout = {"format": pypto.TileOpFormat.TILEOP_NZ} if nz else {}
        return pypto.Tensor([extents[rows], extents[columns]], getattr(pypto, f"DT_{dtype}"), **layout)

    def record(self, *operands: Any) -> None:
        """Trace the operator over `operands`, in the entry's order."""
        from kernel.swiglu_int8.stages import record

        record(*operands, dims=self._dims, tuning=self._tuning)


def _entry(of: _Recorder) -> Callable[..., None]:
    def swiglu_int8(  # type: ignore[no-untyped-def]  # PyPTO refuses a return annotation
        x: of.tensor("T", "D", "INT8"),
        x_scale: of.tensor("T", "1", "FP32"),
        w: of.tensor("D", "2F", "INT8", nz=True),
        w_scale: of.tensor("1", "2F", "FP32"),
        y: of.tensor("T", "F", "INT8"),
        y_scale: of.tensor("T", "1", "FP32"),
    ):
        of.record(x, x_scale, w, w_scale, y, y_scale)

    return swiglu_int8
