"""Holds whatever somebody registered as a kernel to the protocol, before anything is built or leased for it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from kernel.errors import KernelContractError, KernelLoadError, TensorError
from kernel.spec import Kernel, Program, Tensors, TensorSpec, Tuning


class HeldKernel:
    """Follows `kernel.spec.Kernel`: another kernel, whose program is held to its specs whenever a platform asks for it.

    A program that takes its operands in another order, or in other shapes, computes something; it is refused before
    anything is compiled.
    """

    def __init__(self, kernel: Kernel, *, any_program: bool = False) -> None:
        """With `any_program`, what is no `Program` is handed to the platform as it is."""
        self._kernel = kernel
        self._any_program = any_program

    def __getattr__(self, name: str) -> Any:
        """Everything else is the other kernel's."""
        return getattr(self._kernel, name)

    def program(self, case: str, tuning: Tuning) -> Program:
        """The other kernel's program. Raises `TensorError` where it is none, or not the one of the specs."""
        program = self._kernel.program(case, tuning)
        if self._any_program and not isinstance(program, Program):
            return program
        require_signature(self._kernel, case, program)
        return program


def held(kernel: Kernel, *, any_program: bool = False) -> Kernel:
    """Return `kernel` with its program held to its specs; see `HeldKernel`."""
    return cast(Kernel, HeldKernel(kernel, any_program=any_program))


_LONGEST_CASE = 100
_MAPPINGS = ("cases", "input_sets", "tolerances")


def checked(name: str, found: object) -> Kernel:
    """`found`, registered or named as `name`, as a kernel. Raises `KernelLoadError` naming what it lacks."""
    if inspect.isclass(found):
        raise KernelLoadError(name, f"it is the class {found.__name__}", "name an object of it")
    attributes = list(Kernel.__annotations__)
    methods = [member for member, value in vars(Kernel).items() if inspect.isfunction(value) and member[0] != "_"]
    missing = [member for member in (*attributes, *methods) if not hasattr(found, member)]
    missing += [member for member in methods if member not in missing and not callable(getattr(found, member))]
    if missing:
        raise KernelLoadError(name, f"it has no {', '.join(missing)}", "kernel.spec.Kernel says what each is")
    kernel = cast(Kernel, found)
    for member in _MAPPINGS:
        value = getattr(kernel, member)
        if not isinstance(value, Mapping) or not value:
            raise KernelLoadError(name, f"its {member} are {value!r}", "it needs a mapping with at least one entry")
    require_case_names(name, kernel.cases)
    if kernel.default_case not in kernel.cases:
        known = ", ".join(kernel.cases)
        raise KernelLoadError(name, f"its default_case '{kernel.default_case}' is none of its cases", f"known: {known}")
    return kernel


def require_case_names(name: str, cases: Iterable[object]) -> None:
    """Raise `KernelLoadError` unless logs and traces can be named after each of `cases` of the kernel `name`."""
    for case in cases:
        if not _names_a_file(case):
            raise KernelLoadError(
                name, f"its case {case!r:.60} cannot name a file", "use letters, digits, '-', '_' and '.'"
            )


def _names_a_file(case: object) -> bool:
    """Whether `case` can name a file in the run's directory: a path would lead out of it."""
    return (
        isinstance(case, str)
        and 0 < len(case) <= _LONGEST_CASE
        and case.isprintable()
        and case[0] not in ".-"
        and not set(case) & {"/", "\\"}
    )


def require_source(name: str, kernel: Kernel, path: Path) -> None:
    """Raise `KernelLoadError` unless `path` is among the kernel's sources: an edit of it must make another build."""
    if path.resolve() not in {Path(source).resolve() for source in kernel.sources()}:
        raise KernelLoadError(name, f"its sources() do not list {path}", "add Path(__file__)")


def require_specified(kernel: Kernel, what: str, case: str, tensors: Tensors, specs: Iterable[TensorSpec]) -> None:
    """Raise `KernelContractError` unless `tensors`, which `what` gave for `case`, are exactly what `specs` promise."""
    wanted = {spec.name: spec for spec in specs}
    problem = _problem(tensors, wanted)
    if problem:
        raise KernelContractError(kernel.name, f"{what} of case '{case}' {problem}", "make it agree with its specs")


def _problem(tensors: Any, wanted: Mapping[str, TensorSpec]) -> str:
    if not isinstance(tensors, Mapping):
        return f"gave a {type(tensors).__name__}, not a dictionary of tensors"
    if lacking := [name for name in wanted if name not in tensors]:
        return f"lacks {', '.join(lacking)}"
    if extra := [str(name) for name in tensors if name not in wanted]:
        return f"holds {', '.join(extra)}, which no spec names"
    for name, spec in wanted.items():
        found = tensors[name]
        if (shape := getattr(found, "shape", None)) is None:
            return f"gave a {type(found).__name__} for '{name}', not a tensor"
        if tuple(shape) != tuple(spec.shape):
            return f"gave '{name}' the shape {list(shape)}, not {list(spec.shape)}"
        if found.dtype != spec.dtype:
            return f"gave '{name}' the dtype {found.dtype}, not {spec.dtype}"
    return ""


def require_signature(kernel: Kernel, case: str, program: Any) -> None:
    """Raise `TensorError` unless `program` takes the operands of `case` as the specs have them.

    Names and their order, inputs before outputs, and the number of elements of each: a program may view an operand in
    another shape, but not in another size.
    """
    what = f"program() of case '{case}'"
    if not isinstance(program, Program):
        raise TensorError(f"{what} gave a {type(program).__name__}, not a kernel.spec.Program; return one")
    if not callable(program.entry):
        raise TensorError(f"{what} has the entry {program.entry!r:.40}, which cannot be called")
    inputs, outputs = kernel.input_specs(case), kernel.output_specs(case)
    wanted, taken = [spec.name for spec in (*inputs, *outputs)], [each.name for each in program.arguments]
    if wanted != taken:
        raise TensorError(f"{what} takes ({', '.join(taken)}); its specs say ({', '.join(wanted)}), in this order")
    for position, (spec, argument) in enumerate(zip((*inputs, *outputs), program.arguments, strict=True)):
        if argument.output != (position >= len(inputs)):
            raise TensorError(f"{what} takes '{spec.name}' as an {'output' if argument.output else 'input'}")
        if math.prod(argument.shape) != math.prod(spec.shape):
            raise TensorError(
                f"{what} takes '{spec.name}' as {list(argument.shape)}; its spec has {list(spec.shape)}, "
                "which is another number of elements"
            )
