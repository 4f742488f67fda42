"""A kernel small enough for a test: y = (x @ w)·scale and its rounding to INT8, with w in NZ layout.

Inputs are small integers and the scale is a power of two, so both outputs have one right bit pattern.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from kernel.errors import GuardError, TuningError
from kernel.spec import Argument, Case, Program, Tensors, TensorSpec, Tolerance
from kernel.spec import Tuning as AnyTuning

INNER, COLUMNS = 32, 128
_ROWS = {"small": 16, "tall": 64}


@dataclass(frozen=True, slots=True)
class SmallTuning:
    """Rows a vector task takes, and the mistakes a test may ask for."""

    rows: int = 16
    factor: float = 0.5  # the program's; the golden stays at 0.5, so another value gives wrong numbers
    mistake: str = ""  # "buffer": a tile that overflows the vector buffer; "tile": one the compiler refuses

    def __post_init__(self) -> None:
        if self.rows % 16:
            raise GuardError("rows of 16", self.rows, 16, "choose a multiple of 16")

    def as_dict(self) -> dict[str, int | float | bool | str]:
        return asdict(self)


class SmallKernel:
    """Follows `kernel.spec.Kernel`."""

    name = "small"
    summary = "scaled matmul with an INT8 copy"
    default_case = "small"
    cases: Mapping[str, Case] = {name: Case(name, f"T={rows}", {"T": rows}) for name, rows in _ROWS.items()}
    input_sets: Mapping[str, str] = {"integers": "small integers", "shifted": "small integers, compared in stages"}
    tolerances: Mapping[str, Tolerance] = {"y": Tolerance(0.0, 0.0, 0.0), "rounded": Tolerance(0.0, 0.0, 0.0)}

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        rows = _ROWS[case]
        return (
            TensorSpec("x", (rows // 2, 2, INNER), torch.bfloat16),
            TensorSpec("w", (INNER, COLUMNS), torch.bfloat16),
        )

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        shape = (_ROWS[case], COLUMNS)
        return (TensorSpec("y", shape, torch.float32), TensorSpec("rounded", shape, torch.int8))

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        generator = torch.Generator().manual_seed(seed)
        return {
            spec.name: torch.randint(-1, 2, spec.shape, generator=generator).to(spec.dtype)
            for spec in self.input_specs(case)
        }

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        y = inputs["x"].reshape(-1, INNER).float() @ inputs["w"].float() * 0.5
        return {"y": y, "rounded": torch.round(y).to(torch.int8)}

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        if input_set == "integers":
            return golden
        return {"y": golden["y"], "rounded": torch.round(actual["y"]).to(torch.int8)}

    def tuning(self, case: str, overrides: Mapping[str, str]) -> SmallTuning:
        readers = {"rows": int, "factor": float, "mistake": str}
        unknown = sorted(set(overrides) - set(readers))
        if unknown:
            raise TuningError(f"unknown tuning key '{unknown[0]}'")
        return replace(SmallTuning(), **{key: readers[key](value) for key, value in overrides.items()})

    def program(self, case: str, tuning: AnyTuning) -> Program:
        from tests.fakes import small_program

        assert isinstance(tuning, SmallTuning)
        rows = _ROWS[case]
        return Program(
            entry=small_program.entry(rows, tuning),
            arguments=(
                Argument("x", (rows, INNER)),
                Argument("w", (INNER, COLUMNS), nz=True),
                Argument("y", (rows, COLUMNS), output=True),
                Argument("rounded", (rows, COLUMNS), output=True),
            ),
        )

    def sources(self) -> tuple[Path, ...]:
        return (Path(__file__), Path(__file__).with_name("small_program.py"))

    def budgets(self) -> Path:
        return Path(__file__).with_name("small_budgets.toml")
