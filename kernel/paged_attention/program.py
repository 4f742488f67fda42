# mypy: disable-error-code="valid-type"
"""The operator as a PyPTO program. PyPTO is imported when a program is built and not with this package.

The entry's annotations are values PyPTO reads at run time: this module must not postpone their evaluation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kernel.paged_attention.operator import input_specs, output_specs
from kernel.paged_attention.tuning import AttentionTuning
from kernel.recorder import Recorder
from kernel.spec import Argument, Program, TensorSpec


def build(dims: Mapping[str, int], tuning: AttentionTuning) -> Program:
    """The program that computes `dims` under `tuning`."""
    arguments = _arguments(dims)

    def trace(*operands: Any) -> None:
        from kernel.paged_attention.stages import AttentionOperands, record

        record(AttentionOperands(*operands), dims, tuning)

    return Program(
        entry=_entry(Recorder(arguments, trace)),
        arguments=arguments,
        pass_options={
            "cube_nbuffer_setting": {-1: tuning.merge},
            "cube_l1_reuse_setting": {-1: tuning.l1_reuse},
            "vec_nbuffer_setting": {-1: tuning.vec_merge},
        },
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


def _entry(of: Recorder) -> Callable[..., None]:
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
