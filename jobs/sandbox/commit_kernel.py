"""A kernel whose program comes from somewhere else: the installed kernel's rules, and a tree with another program.

Inputs, golden, tolerances, budgets and what outputs are compared with are the installed kernel's. Nothing of the tree
is imported here; `jobs.sandbox.confined_platform` has it run apart.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path

from kernel.errors import KernelLayerError, KernelLoadError, TensorError
from kernel.harness.kernel import HarnessKernel
from kernel.spec import Case, Kernel, Program, Tensors, TensorSpec, Tolerance
from kernel.spec import Tuning as AnyTuning
from kernel.validation import held

# Packages of the installation itself. Of these, only the kernel's own package is ever taken from a tree; a kernel of
# another repository brings all of its top-level package.
INSTALLED = ("kernel", "jobs", "farm", "ci")


class ProgramRaisedError(KernelLayerError):
    """The confined program raised, or exited."""


class UnknownCaseError(KernelLayerError):
    """The confined program does not know the case."""


class BadProgramAnswerError(KernelLayerError):
    """What the confined program answered is not an answer, or contradicts itself."""


class UnprovenTimeError(KernelLayerError):
    """The time that the confined program took cannot be computed from what it compiled, or is another one."""


class InputChangedError(KernelLayerError):
    """The confined program wrote to its inputs, or rather to its copies of them."""


class LimitExceededError(KernelLayerError):
    """The confined program used more memory, disk or processes than it may."""


class ProgramDiedError(KernelLayerError):
    """The confined program's process ended by a signal or without an answer."""


class ProgramHungError(KernelLayerError):
    """The confined program did not end in time."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an installed kernel's program lies, and so where it is looked for in a tree."""

    entry: str  # "module:attribute", as its entry point has it
    module: str  # what comes from the tree: a package with all below it, or a single module
    paths: tuple[str, ...]  # of that module in a repository, the likeliest first

    @classmethod
    def of(cls, entry: str) -> Origin:
        """The origin of the kernel behind the entry point value `entry`. Runs no code of other packages than ours.

        Raises `KernelLoadError` where its module is not installed.
        """
        module = entry.partition(":")[0]
        top = module.partition(".")[0]
        if top not in INSTALLED:
            module = top
        elif not _is_package(module) and module.count(".") > 1:
            module = module.rpartition(".")[0]
        path = module.replace(".", "/") + ("" if _is_package(module) else ".py")
        return cls(entry, module, (path, f"src/{path}"))

    @property
    def top(self) -> Path:
        """Where `module` is installed: the file of a module, the directory of a package."""
        found = _spec(self.module)
        if found.submodule_search_locations:
            return Path(found.submodule_search_locations[0]).resolve()
        return Path(str(found.origin)).resolve()


def _spec(module: str) -> ModuleSpec:
    """Of an installed module: one of ours, or a top-level one, for which nothing is imported."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise KernelLoadError(module, f"is not installed: {error}", "install its package") from error
    if found is None:
        raise KernelLoadError(module, "is not installed", "install its package")
    return found


def _is_package(module: str) -> bool:
    return _spec(module).submodule_search_locations is not None


@dataclass(frozen=True, slots=True)
class Overrides:
    """A tuning of a program that is not here: what was asked for. Which knobs there are, only the program knows."""

    values: Mapping[str, str]

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """The overrides as typed."""
        return dict(self.values)


class ForeignKernel:
    """Follows `kernel.spec.Kernel`: everything is the installed kernel's but tuning, program and sources."""

    def __init__(self, rules: Kernel, files: tuple[Path, ...]) -> None:
        """`files` are the program's, unpacked from its tree."""
        self.rules = rules
        self.name = rules.name
        self.summary = rules.summary
        self.default_case = rules.default_case
        self.cases: Mapping[str, Case] = rules.cases
        self.input_sets: Mapping[str, str] = rules.input_sets
        self.tolerances: Mapping[str, Tolerance] = rules.tolerances
        self._files = files

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The installed kernel's."""
        return self.rules.input_specs(case)

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """The installed kernel's."""
        return self.rules.output_specs(case)

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """The installed kernel's."""
        return self.rules.inputs(case, input_set, seed)

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """The installed kernel's."""
        return self.rules.golden(case, inputs)

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        """The installed kernel's."""
        return self.rules.expected(case, input_set, inputs, golden, actual)

    def tuning(self, case: str, overrides: Mapping[str, str]) -> Overrides:
        """The overrides, unchecked: the confined program checks them."""
        return Overrides(dict(overrides))

    def program(self, case: str, tuning: AnyTuning) -> Program:
        """Never here. Raises `TensorError`."""
        raise TensorError(f"the program of {self.name} comes from a commit and runs confined; it is never loaded here")

    def sources(self) -> tuple[Path, ...]:
        """The program's files from the tree."""
        return self._files

    def budgets(self) -> Path:
        """The installed kernel's."""
        return self.rules.budgets()


def rules_of(kernel: Kernel) -> Kernel:
    """The kernel that inputs and golden are the work of: the installed one."""
    return kernel.rules if isinstance(kernel, ForeignKernel) else kernel


def held_to_specs(kernel: Kernel) -> Kernel:
    """Return `kernel` with its program held to its specs, where that program is available in this process."""
    return kernel if isinstance(kernel, (ForeignKernel, HarnessKernel)) else held(kernel)
