"""What a kernel is to the farm: the `Kernel` protocol and the small records it speaks in.

A kernel brings its cases, inputs, golden, tolerances, tunings and program; it never sees a device, Ray or a file of the
farm. Another repository brings its own by registering an object of this protocol in the entry-point group
`farm.kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from kernel.errors import ToleranceError

if TYPE_CHECKING:
    import torch  # a second to import, and `farm --help` needs none of it

Tensors: TypeAlias = "dict[str, torch.Tensor]"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and dtype of one operand, as the operator's table gives them."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Tolerance:
    """|actual − expected| ≤ atol + rtol·|expected| for all but `outlier_share` of the elements.

    Raises `ToleranceError` for a bound that is negative or not finite, and for a share outside 0 to 1.
    """

    atol: float
    rtol: float
    outlier_share: float  # 0.005 allows 0.5 % of the elements outside the bound

    def __post_init__(self) -> None:
        """Refuse a tolerance that everything, or nothing, lies within."""
        require_tolerance(self)


def require_tolerance(tolerance: Tolerance) -> None:
    """Raise `ToleranceError` unless `tolerance`, however it was made, is one."""
    for name, most in (("atol", math.inf), ("rtol", math.inf), ("outlier_share", 1.0)):
        value = getattr(tolerance, name, None)
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
        if not 0 <= number <= most or number == math.inf:
            wanted = "a share from 0 to 1" if name == "outlier_share" else "a finite number of at least 0"
            raise ToleranceError(f"a tolerance's {name} is {str(value)[:40]}; write {wanted}")


@dataclass(frozen=True, slots=True)
class Case:
    """One named shape point of a kernel."""

    name: str
    summary: str
    dims: Mapping[str, int]  # symbol of the operator's shape table → extent


@dataclass(frozen=True, slots=True)
class Argument:
    """How one operand is handed to the compiled program."""

    name: str  # the operand's name in the operator's table
    shape: tuple[int, ...]  # the program's view of it, same element count
    nz: bool = False  # fractal NZ layout (cube operand) instead of row-major
    output: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A PyPTO kernel function before any platform has decorated it."""

    entry: Callable[..., None]  # annotated PyPTO function: inputs in order, then outputs
    arguments: tuple[Argument, ...]
    pass_options: Mapping[str, Any] = field(default_factory=dict)  # PyPTO pass options, valid in 0.2.0


@dataclass(frozen=True, slots=True)
class Step:
    """One named step from the untuned kernel to the best known one."""

    name: str  # as the kernel's history calls it, for example "S"
    summary: str  # what changes, one line
    knobs: tuple[str, ...]  # tuning keys that go from their untuned to their best value


class Tuning(Protocol):
    """A frozen record of every knob of a kernel. Building one checks every guard."""

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name; two equal dictionaries compile to the same program."""
        ...


class Kernel(Protocol):
    """An operator under test."""

    name: str
    summary: str
    default_case: str
    cases: Mapping[str, Case]
    input_sets: Mapping[str, str]  # name → one line on its distribution; the first is the documented one
    tolerances: Mapping[str, Tolerance]  # output name → tolerance

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The inputs of `case`, in the operator's order."""
        ...

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The outputs of `case`, in the operator's order."""
        ...

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """Inputs drawn from `input_set`; the same three arguments give the same bits on every machine."""
        ...

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """The reference outputs for `inputs`."""
        ...

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        """What each output of a run is compared with.

        End to end (`golden` itself) where the operator is well conditioned on `input_set`; stage by stage, from the
        run's own intermediate outputs, where a legal rounding difference of one stage would be blamed on the next.
        """
        ...

    def tuning(self, case: str, overrides: Mapping[str, str]) -> Tuning:
        """The best known tuning of `case` with `overrides` applied. Raises `TuningError`."""
        ...

    def program(self, case: str, tuning: Tuning) -> Program:
        """The program that computes `case` under `tuning`."""
        ...

    def sources(self) -> tuple[Path, ...]:
        """Every file whose change can change the program; part of a build's content address."""
        ...

    def budgets(self) -> Path:
        """The kernel's budget file (TOML), kept in the trusted installation."""
        ...


@runtime_checkable
class TunableKernel(Kernel, Protocol):
    """A kernel that also declares its history and its tuning space, for `farm ledger` and `farm tune`."""

    def defaults(self) -> Mapping[str, int | float | bool | str]:
        """Every knob as it is where the tunings file says nothing."""
        ...

    def tunings(self) -> Path:
        """The file (TOML) with the best known tuning of each case: a table a case, the knobs that are not default."""
        ...

    def untuned(self, case: str) -> Mapping[str, str]:
        """Overrides that take the best tuning of `case` back to where its history began."""
        ...

    def steps(self, case: str) -> tuple[Step, ...]:
        """The steps of that history in order; taken all, they lead from `untuned` to the best tuning."""
        ...

    def tuning_space(self, case: str) -> Mapping[str, tuple[str, ...]]:
        """The values worth trying for each knob, the best known one first; combinations may break a guard."""
        ...
