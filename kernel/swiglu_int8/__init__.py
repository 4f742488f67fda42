"""SwiGLU between two INT8 layers of a feed-forward block: gate and up projection, silu(gate)·up, INT8 per token."""

from __future__ import annotations

from collections.abc import Mapping

from kernel.spec import Case, Program, Tensors, TensorSpec, Tolerance, TunableKernel
from kernel.swiglu_int8 import operator
from kernel.swiglu_int8.program import build
from kernel.swiglu_int8.tuning import HISTORY, SwigluTuning, check
from kernel.tuned import TunedKernel

__all__ = ["KERNEL", "SwigluInt8"]


class SwigluInt8(TunedKernel[SwigluTuning]):
    """The kernel, as the farm sees it. Every method follows `kernel.spec.Kernel`."""

    name = "swiglu_int8"
    summary = "feed-forward block: INT8 gate and up projection, SwiGLU, INT8 quantisation per token"
    default_case = "flash-t128"
    cases: Mapping[str, Case] = operator.CASES
    input_sets: Mapping[str, str] = operator.INPUT_SETS
    tolerances: Mapping[str, Tolerance] = operator.TOLERANCES
    knobs = SwigluTuning()
    history = HISTORY

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The inputs of `case`, in the operator's order."""
        return operator.input_specs(self.dims(case))

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The outputs of `case`, in the operator's order."""
        return operator.output_specs(self.dims(case))

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """Inputs drawn from `input_set`."""
        return operator.draw(self.dims(case), input_set, seed)

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """The reference outputs for `inputs`."""
        return operator.golden(inputs)

    def check(self, case: str, tuning: SwigluTuning) -> None:
        """Raise `GuardError` for a tiling that does not fit."""
        check(self.dims(case), tuning)

    def build(self, case: str, tuning: SwigluTuning) -> Program:
        """The program that computes `case` under `tuning`."""
        return build(self.dims(case), tuning, self.arguments(case, nz=("w",)))


KERNEL: TunableKernel = SwigluInt8()
