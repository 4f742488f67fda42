"""`SimpleKernel`: the kernel protocol with the usual answers filled in, for a kernel written in one file.

What is left to write is what nobody else can know: cases, operands, inputs, golden, tolerances, and the program.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kernel.errors import TuningError, UnknownNameError
from kernel.spec import Argument, Case, Program, Tensors, TensorSpec, Tolerance, Tuning


@dataclass(frozen=True, slots=True)
class NoKnobs:
    """The tuning of a kernel that has none."""

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Empty."""
        return {}


class SimpleKernel(abc.ABC):
    """A kernel without tuning knobs, compared with its golden end to end.

    Its sources are the Python files in the directory of the class, its budgets `budgets.toml` beside them, its default
    case is the first. Override whatever should be otherwise: every method is one of `kernel.spec.Kernel`.
    """

    name: str
    summary: str
    default_case: str
    cases: Mapping[str, Case]
    tolerances: Mapping[str, Tolerance]
    input_sets: Mapping[str, str] = {"documented": "as the kernel's inputs() draws them"}

    def __init_subclass__(cls, **options: object) -> None:
        """The first of `cases` is the default one, where the class names none."""
        super().__init_subclass__(**options)
        if "cases" in vars(cls) and "default_case" not in vars(cls):
            cls.default_case = next(iter(cls.cases), "")

    def dims(self, case: str) -> Mapping[str, int]:
        """The extents of `case` by symbol. Raises `UnknownNameError`."""
        if case not in self.cases:
            raise UnknownNameError("case", case, list(self.cases))
        return self.cases[case].dims

    @abc.abstractmethod
    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The inputs of `case`, in the program's order."""

    @abc.abstractmethod
    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The outputs of `case`, in the program's order."""

    @abc.abstractmethod
    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """Inputs drawn from `seed`: the same arguments give the same bits on every machine."""

    @abc.abstractmethod
    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """The reference outputs, in plain torch."""

    @abc.abstractmethod
    def program(self, case: str, tuning: Tuning) -> Program:
        """The PyPTO program of `case`; `arguments` gives its operands."""

    def arguments(self, case: str, nz: tuple[str, ...] = ()) -> tuple[Argument, ...]:
        """The operands as they are specified, inputs first; those named in `nz` in the layout of a cube weight."""
        inputs = tuple(Argument(spec.name, spec.shape, nz=spec.name in nz) for spec in self.input_specs(case))
        return inputs + tuple(Argument(spec.name, spec.shape, output=True) for spec in self.output_specs(case))

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        """The golden, end to end."""
        return golden

    def tuning(self, case: str, overrides: Mapping[str, str]) -> Tuning:
        """No knobs. Raises `TuningError` for any override."""
        self.dims(case)
        if overrides:
            raise TuningError(f"unknown tuning key '{next(iter(overrides))}'; kernel '{self.name}' has no knobs")
        return NoKnobs()

    def sources(self) -> tuple[Path, ...]:
        """Every Python file in the directory of the class, its own first."""
        own = Path(inspect.getfile(type(self))).resolve()
        return (own, *sorted(path for path in own.parent.glob("*.py") if path != own))

    def budgets(self) -> Path:
        """`budgets.toml` beside the class."""
        return self.sources()[0].parent / "budgets.toml"
