# mypy: disable-error-code="valid-type"
"""The operator as a PyPTO program. PyPTO is imported when a program is built and not with this package.

The entry's annotations are values PyPTO reads at run time: this module must not postpone their evaluation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kernel.recorder import Recorder
from kernel.spec import Argument, Program
from kernel.swiglu_int8.tuning import SwigluTuning


def build(dims: Mapping[str, int], tuning: SwigluTuning, arguments: tuple[Argument, ...]) -> Program:
    """The program that computes `dims` under `tuning`; `arguments` as they are specified, `w` in NZ."""

    def trace(*operands: Any) -> None:
        from kernel.swiglu_int8.stages import record

        record(*operands, dims=dims, tuning=tuning)

    return Program(
        entry=_entry(Recorder(arguments, trace)),
        arguments=arguments,
        pass_options={
            "cube_nbuffer_setting": {-1: tuning.merge},
            "cube_l1_reuse_setting": {-1: tuning.l1_reuse},
            "vec_nbuffer_setting": {-1: tuning.vec_merge},
        },
    )


def _entry(of: Recorder) -> Callable[..., None]:
    def swiglu_int8(  # type: ignore[no-untyped-def]  # PyPTO refuses a return annotation
        x: of.tensor("x", "INT8"),
        x_scale: of.tensor("x_scale", "FP32"),
        w: of.tensor("w", "INT8"),
        w_scale: of.tensor("w_scale", "FP32"),
        y: of.tensor("y", "INT8"),
        y_scale: of.tensor("y_scale", "FP32"),
    ):
        of.record(x, x_scale, w, w_scale, y, y_scale)

    return swiglu_int8
