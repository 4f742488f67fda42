# mypy: disable-error-code="valid-type"
"""The operator as a PyPTO program: the entry function, its operands, and the compiler options that go with it.

The entry's annotations are values PyPTO reads at run time: this module must not postpone their evaluation.
"""

from collections.abc import Callable
from typing import Any

from kernel.qkv_proj_rope.guards import check
from kernel.qkv_proj_rope.shapes import Shape, input_specs, output_specs
from kernel.qkv_proj_rope.task_groups import cube_merges, l1_merges
from kernel.qkv_proj_rope.tuning import ProjectionTuning
from kernel.recorder import Recorder
from kernel.spec import Argument, Program, TensorSpec

_NZ_OPERANDS = ("wq_a", "wq_b", "wkv")


def build(shape: Shape, tuning: ProjectionTuning) -> Program:
    """The program that computes `shape` under `tuning`. Raises `GuardError`."""
    check(shape, tuning)
    arguments = _arguments(shape)

    def trace(*operands: Any) -> None:
        from kernel.qkv_proj_rope.stages import ProjectionOperands, compute

        compute(ProjectionOperands(*operands), shape, tuning)

    return Program(_entry(Recorder(arguments, trace)), arguments, _pass_options(tuning))


def _arguments(shape: Shape) -> tuple[Argument, ...]:
    """Operands in the order of the entry's parameters, every one a matrix."""
    inputs = tuple(Argument(spec.name, _view(spec, shape), spec.name in _NZ_OPERANDS) for spec in input_specs(shape))
    return inputs + tuple(Argument(spec.name, _view(spec, shape), output=True) for spec in output_specs(shape))


def _view(spec: TensorSpec, shape: Shape) -> tuple[int, ...]:
    """The matrix an operand is handed over as: x [T, D], q [T, H·HEAD_DIM], a vector [1, N]."""
    matrices = {"x": (shape.t, shape.d), "q": (shape.t, shape.q_width)}
    return matrices.get(spec.name, spec.shape if len(spec.shape) == 2 else (1, *spec.shape))


def _pass_options(tuning: ProjectionTuning) -> dict[str, dict[int, int]]:
    return {
        "vec_nbuffer_setting": {-1: tuning.vec_merge},
        "cube_l1_reuse_setting": l1_merges(tuning),
        "cube_nbuffer_setting": cube_merges(tuning),
    }


def _entry(of: Recorder) -> Callable[..., None]:
    def qkv_proj_rope(  # type: ignore[no-untyped-def]  # PyPTO refuses a return annotation
        x: of.tensor("x", "BF16"),
        norm_w: of.tensor("norm_w", "FP32"),
        wq_a: of.tensor("wq_a", "BF16"),
        wq_b: of.tensor("wq_b", "INT8"),
        wq_b_scale: of.tensor("wq_b_scale", "FP32"),
        wkv: of.tensor("wkv", "BF16"),
        rope_cos: of.tensor("rope_cos", "BF16"),
        rope_sin: of.tensor("rope_sin", "BF16"),
        gamma_cq: of.tensor("gamma_cq", "BF16"),
        gamma_ckv: of.tensor("gamma_ckv", "BF16"),
        q: of.tensor("q", "BF16"),
        kv: of.tensor("kv", "BF16"),
        qr: of.tensor("qr", "INT8"),
        qr_scale: of.tensor("qr_scale", "FP32"),
    ):
        of.record(x, norm_w, wq_a, wq_b, wq_b_scale, wkv, rope_cos, rope_sin, gamma_cq, gamma_ckv, q, kv, qr, qr_scale)

    return qkv_proj_rope
