"""A kernel as its own process describes it: all that a run's driver needs of it, and none of its code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.kernel_process import supervisor
from jobs.kernel_process.description import LOAD_S, describe, is_foreign
from jobs.kernel_process.messages import CaseRecord, KernelAnswer, KernelQuestion, KernelRecord, Question, SpecRecord
from kernel import file_kernels
from kernel.errors import KernelLoadError, UnknownNameError
from kernel.registry import find_kernel
from kernel.spec import Case, Kernel, Program, Tensors, TensorSpec, Tolerance, Tuning


@dataclass(frozen=True, slots=True)
class KnownKnobs:
    """A tuning whose knobs the kernel's process has reported."""

    values: Mapping[str, int | float | bool | str]

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return dict(self.values)


class DescribedKernel:
    """Follows `kernel.spec.Kernel`. What needs the kernel's code is asked of a process of the kernel's own."""

    def __init__(
        self,
        asked: str,
        record: KernelRecord,
        ask: Callable[[KernelQuestion, float], KernelAnswer] = supervisor.answer,
    ) -> None:
        """`asked` is what the kernel was asked for by: its name, or its file and attribute. `ask` answers for it."""
        self.asked = asked
        self._ask = ask
        self._record = record
        self.name = record.name
        self.summary = record.summary
        self.default_case = record.default_case
        self.cases: Mapping[str, Case] = {
            name: Case(each.name, each.summary, each.dims) for name, each in record.cases.items()
        }
        self.input_sets: Mapping[str, str] = record.input_sets
        self.tolerances: Mapping[str, Tolerance] = {
            name: Tolerance(*bounds) for name, bounds in record.tolerances.items()
        }
        if record.rules is not None:
            self.rules: tuple[str, ...] = tuple(record.rules)
        self._tunings: dict[tuple[str, tuple[tuple[str, str], ...]], KnownKnobs] = {}

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """As described. Raises what the kernel raised."""
        return tuple(_spec(each) for each in self._specified(case).inputs)

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """As described. Raises what the kernel raised."""
        return tuple(_spec(each) for each in self._specified(case).outputs)

    def tuning(self, case: str, overrides: Mapping[str, str]) -> Tuning:
        """The kernel's, computed in its process. Raises `TuningError`, `UnknownNameError`, `KernelLoadError`."""
        described = self._case(case)
        if not overrides:
            if described.tuning_problem is not None:
                raise described.tuning_problem.error()
            return KnownKnobs(described.tuning)
        key = (case, tuple(sorted(overrides.items())))
        if key not in self._tunings:
            self._tunings[key] = KnownKnobs(self._answer(Question.TUNING, case, overrides).tuning)
        return self._tunings[key]

    def compute_reference(
        self, case: str, input_set: str, seed: int, cache: Path, limit_s: float, *, seeded: bool = False
    ) -> None:
        """Have inputs and golden of `case` computed into `cache`, unless they are there.

        With `seeded`, inputs that another seed does not change are refused. Raises `KernelLoadError`.
        """
        from jobs.cache import reference_address, reference_path  # imports torch, which --help need not pay for

        if not seeded and reference_path(cache, reference_address(self, case, input_set, seed)).exists():
            return  # a worker that finds it damaged computes it again
        question = KernelQuestion(
            question=Question.REFERENCE,
            kernel=self.asked,
            path=[],
            answer="",
            case=case,
            input_set=input_set,
            seed=seed,
            cache=str(cache),
            seeded=seeded,
        )
        self._ask(question, limit_s)

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """Never here. Raises `KernelLoadError`."""
        raise self._elsewhere("inputs()")

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """Never here. Raises `KernelLoadError`."""
        raise self._elsewhere("golden()")

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        """Never here. Raises `KernelLoadError`."""
        raise self._elsewhere("expected()")

    def program(self, case: str, tuning: Tuning) -> Program:
        """Never here. Raises `KernelLoadError`."""
        raise self._elsewhere("program()")

    def sources(self) -> tuple[Path, ...]:
        """As described."""
        return tuple(Path(path) for path in self._record.sources)

    def budgets(self) -> Path:
        """As described."""
        return Path(self._record.budgets)

    def _answer(self, question: Question, case: str, overrides: Mapping[str, str] | None = None) -> KernelAnswer:
        asked = KernelQuestion(
            question=question, kernel=self.asked, path=[], answer="", case=case, overrides=dict(overrides or {})
        )
        return self._ask(asked, LOAD_S)

    def _case(self, case: str) -> CaseRecord:
        if case not in self._record.cases:
            raise UnknownNameError("case", case, list(self._record.cases))
        return self._record.cases[case]

    def _specified(self, case: str) -> CaseRecord:
        described = self._case(case)
        if described.specs_problem is not None:
            raise described.specs_problem.error()
        return described

    def _elsewhere(self, what: str) -> KernelLoadError:
        return KernelLoadError(self.name, f"its {what} was asked for in the driver's process", "ask a worker's")


def kernel_of(name: str) -> Kernel:
    """Return the kernel registered as `name`, or in the file it names, without running foreign code in this process.

    The installation's own kernels are loaded; every other one is asked in a process of its own, again once one of its
    files has changed.

    Raises:
        UnknownNameError: No kernel is called `name`.
        KernelLoadError: It cannot be used, or its process gave no answer.
    """
    if not is_foreign(name):
        return find_kernel(name)
    asked = file_kernels.absolute(name)
    known = _KNOWN.get(asked)
    if known is not None and known[1] == _files_digest(known[0]):
        return known[0]
    described = DescribedKernel(asked, describe(asked))
    _KNOWN[asked] = (described, _files_digest(described))
    return described


_KNOWN: dict[str, tuple[DescribedKernel, str]] = {}


def _files_digest(kernel: DescribedKernel) -> str:
    """Of its sources and of the TOML files beside the first, where tunings are."""
    from jobs.cache import source_digest

    sources = kernel.sources()
    return source_digest(path for path in (*sources, *sources[0].parent.glob("*.toml")) if path.is_file())


def _spec(record: SpecRecord) -> TensorSpec:
    import torch

    dtype = getattr(torch, record.dtype.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise KernelLoadError(record.name, f"its spec has the dtype {record.dtype}", "name one of torch's")
    return TensorSpec(record.name, tuple(record.shape), dtype)
