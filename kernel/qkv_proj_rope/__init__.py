"""DeepSeek V4 decode `qkv_proj_rope`: RMS norm, low-rank query and kv projections, INT8 quantisation, RoPE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kernel.qkv_proj_rope import golden as reference
from kernel.qkv_proj_rope import history, shapes
from kernel.qkv_proj_rope.inputs import DOCUMENTED, INPUT_SETS, draw
from kernel.qkv_proj_rope.program import build
from kernel.qkv_proj_rope.tuning import TUNINGS, ProjectionTuning, tuned
from kernel.spec import Case, Program, Step, Tensors, TensorSpec, Tolerance, TunableKernel
from kernel.spec import Tuning as AnyTuning

__all__ = ["KERNEL", "QkvProjRope"]


class QkvProjRope:
    """The kernel, as the farm sees it. Every method follows `kernel.spec.Kernel`."""

    name = "qkv_proj_rope"
    summary = "DeepSeek V4 decode: attn-norm, q and kv projections, INT8 quantisation, per-head norm, RoPE"
    default_case = "flash-s2"
    cases: Mapping[str, Case] = shapes.cases()
    input_sets: Mapping[str, str] = INPUT_SETS
    tolerances: Mapping[str, Tolerance] = reference.TOLERANCES

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The inputs of `case`, in the operator's order."""
        return shapes.input_specs(shapes.shape_of(case))

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The outputs of `case`, in the operator's order."""
        return shapes.output_specs(shapes.shape_of(case))

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """Inputs drawn from `input_set`."""
        return draw(shapes.shape_of(case), input_set, seed)

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """The reference outputs for `inputs`, end to end."""
        return reference.golden(shapes.shape_of(case), inputs)

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        """`golden` on the documented set; elsewhere `q` is recomputed from the run's own `qr`, see `golden.staged`."""
        if input_set == DOCUMENTED:
            return golden
        return reference.staged(shapes.shape_of(case), inputs, golden, actual)

    def tuning(self, case: str, overrides: Mapping[str, str]) -> ProjectionTuning:
        """The best known tuning of `case` with `overrides` applied."""
        return tuned(case, overrides)

    def defaults(self) -> Mapping[str, int | float | bool | str]:
        """Every knob as it is where the tunings file says nothing."""
        return history.defaults()

    def tunings(self) -> Path:
        """The best known tuning of each case."""
        return TUNINGS

    def untuned(self, case: str) -> Mapping[str, str]:
        """Overrides that take the best tuning of `case` back to where its history began."""
        return history.untuned(case)

    def steps(self, case: str) -> tuple[Step, ...]:
        """The named steps from there to the best tuning."""
        return history.STEPS

    def tuning_space(self, case: str) -> Mapping[str, tuple[str, ...]]:
        """The values worth trying for each knob."""
        return history.space(case)

    def program(self, case: str, tuning: AnyTuning) -> Program:
        """The program that computes `case` under `tuning`."""
        if not isinstance(tuning, ProjectionTuning):
            raise TypeError(f"{self.name} takes its own Tuning, not {type(tuning).__name__}")
        return build(shapes.shape_of(case), tuning)

    def sources(self) -> tuple[Path, ...]:
        """Every module of this package."""
        return tuple(sorted(Path(__file__).parent.glob("*.py")))

    def budgets(self) -> Path:
        """The ceilings and ratchets of every platform and case."""
        return Path(__file__).parent / "budgets.toml"


KERNEL: TunableKernel = QkvProjRope()
