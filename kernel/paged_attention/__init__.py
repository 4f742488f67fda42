"""One decode step of attention over a paged KV cache: grouped query heads, blocks found through a block table."""

from __future__ import annotations

from collections.abc import Mapping

from kernel.paged_attention import operator
from kernel.paged_attention.program import build
from kernel.paged_attention.tuning import HISTORY, AttentionTuning, check
from kernel.spec import Case, Program, Tensors, TensorSpec, Tolerance, TunableKernel
from kernel.tuned import TunedKernel

__all__ = ["KERNEL", "PagedAttention"]


class PagedAttention(TunedKernel[AttentionTuning]):
    """The kernel, as the farm sees it. Every method follows `kernel.spec.Kernel`."""

    name = "paged_attention"
    summary = "decode attention over a paged KV cache: grouped query heads, ragged lengths, blocks by table"
    default_case = "decode-b8"
    cases: Mapping[str, Case] = operator.CASES
    input_sets: Mapping[str, str] = operator.INPUT_SETS
    tolerances: Mapping[str, Tolerance] = operator.TOLERANCES
    knobs = AttentionTuning()
    history = HISTORY

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The inputs of `case`, in the operator's order."""
        return operator.input_specs(self.dims(case))

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The one output of `case`."""
        return operator.output_specs(self.dims(case))

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """Inputs drawn from `input_set`."""
        return operator.draw(self.dims(case), input_set, seed)

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """The reference output for `inputs`."""
        return operator.golden(self.dims(case), inputs)

    def check(self, case: str, tuning: AttentionTuning) -> None:
        """Raise `GuardError` for a tiling that does not fit."""
        check(self.dims(case), tuning)

    def build(self, case: str, tuning: AttentionTuning) -> Program:
        """The program that computes `case` under `tuning`."""
        return build(self.dims(case), tuning)


KERNEL: TunableKernel = PagedAttention()
