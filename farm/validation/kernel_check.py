"""All that can be checked of a kernel without a device: what it promises, its budgets, and that it compiles once.

The kernel's code runs in a process of its own; one that a check ends or hangs costs that check and no other.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from farm.errors import UsageError
from farm.execution import preflight
from farm.text import counted
from jobs.kernel_process.described import DescribedKernel
from jobs.kernel_process.description import LOAD_S, require_files
from jobs.kernel_process.messages import KernelAnswer, KernelQuestion, Question
from jobs.kernel_process.supervisor import Conversation
from kernel import file_kernels
from kernel.errors import (
    DeviceError,
    KernelContractError,
    KernelLayerError,
    KernelLoadError,
    PlatformUnavailableError,
    TuningError,
    UnknownNameError,
)
from kernel.platforms.protocol import Platform
from kernel.registry import kernel_entry

CONTRACT, BUDGETS, COMPILE = "contract", "budgets", "compile"
# In this order; each with those that it makes no sense without.
CHECKS: Mapping[str, tuple[str, ...]] = {
    CONTRACT: (),
    "tolerances": (),
    BUDGETS: (),
    "guards": (),
    "signature": ("guards",),
    "inputs": (),
    "golden": ("inputs",),
    COMPILE: ("guards", "signature"),
}


class KernelCheckStatus(str, enum.Enum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # it makes no sense without one that failed, or was not asked for


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of a kernel."""

    name: str
    status: KernelCheckStatus
    message: str  # one line: what was found, what is wrong and where, or why it was skipped


@dataclass(slots=True)
class KernelCheck:
    """The checks of one kernel. Use as a context manager; for one pass over `results`."""

    kernel: str  # its name, or its file
    case: str | None  # None: the kernel's own
    overrides: Mapping[str, str]  # of the tuning
    platform: Platform
    cache: Path
    limit_s: float  # of each check
    compiles: bool = True
    tuning: dict[str, int | float | bool | str] = field(default_factory=dict)  # every knob, once `results` has begun
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _conversation: Conversation | None = None
    _described: DescribedKernel | None = None

    def __enter__(self) -> KernelCheck:
        """Nothing is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the kernel's process."""
        self._open.close()

    def results(self) -> Iterator[CheckResult]:
        """Make the checks, and give the result of each as it ends.

        Raises:
            UnknownNameError: There is no such kernel or case.
            KernelLoadError: There is no such file.
            TuningError: The overrides break a guard, or name no knob.
            PlatformUnavailableError, DeviceError, OSError: The kernel could not be checked here.
        """
        self._require_there()
        if self.compiles:
            preflight.require(self.platform)
        unusable = self._describe()
        if not unusable:
            self._require_case_and_tuning()
        failed: set[str] = set()
        for name, needed in CHECKS.items():
            missing = sorted(failed & {CONTRACT, *needed})
            if missing:
                result = CheckResult(name, KernelCheckStatus.SKIPPED, f"not reached, because of {', '.join(missing)}")
            elif name == COMPILE and not self.compiles:
                result = CheckResult(name, KernelCheckStatus.SKIPPED, "not asked for")
            elif name == CONTRACT and unusable:
                result = CheckResult(name, KernelCheckStatus.FAILED, unusable)
            else:
                result = self._checked(name)
            if missing or result.status is KernelCheckStatus.FAILED:
                failed.add(name)
            yield result

    def _require_there(self) -> None:
        if not file_kernels.is_path(self.kernel):
            kernel_entry(self.kernel)
        elif not (path := file_kernels.file_of(self.kernel)).is_file():
            raise KernelLoadError(self.kernel, f"there is no file {path}", "name one as path/to/mine.py:KERNEL")

    def _describe(self) -> str:
        """Have the kernel loaded; why it cannot be, or ""."""
        asked = file_kernels.absolute(self.kernel)
        question = KernelQuestion(question=Question.DESCRIBE, kernel=asked, path=[], answer="")
        try:
            record = self._ask(question, LOAD_S).kernel
            assert record is not None, "a kernel that was described without a problem"
            require_files(record)
        except KernelLoadError as error:
            return self._words(error)
        self._described = DescribedKernel(asked, record, self._ask)
        self.case = self.case or record.default_case
        return ""

    def _require_case_and_tuning(self) -> None:
        """Raise `UnknownNameError` or `TuningError` where what was asked for, and not the kernel, is wrong."""
        assert self._described is not None and self.case is not None, "it was described"
        if self.case not in self._described.cases:
            raise UnknownNameError("case", self.case, list(self._described.cases))
        try:
            self.tuning = dict(self._described.tuning(self.case, self.overrides).as_dict())
        except TuningError:
            if self.overrides:
                raise
        except KernelLayerError:
            return  # the kernel's own, which the guards' check finds again

    def _checked(self, name: str) -> CheckResult:
        if name == COMPILE:
            preflight.build_once(self.platform, self.cache)
        try:
            found = self._budgets() if name == BUDGETS else self._ask(self._question(name), self.limit_s).found
        except (PlatformUnavailableError, DeviceError):
            raise  # what it is checked with is missing or broken
        except (KernelLayerError, UsageError) as error:
            return CheckResult(name, KernelCheckStatus.FAILED, self._words(error))
        return CheckResult(name, KernelCheckStatus.PASSED, found)

    def _budgets(self) -> str:
        assert self._described is not None, "the contract is checked first"
        return counted(preflight.require_budgets(self._described, self.platform.name), "budget")

    def _question(self, check: str) -> KernelQuestion:
        assert self._described is not None and self.case is not None, "the contract is checked first"
        return KernelQuestion(
            question=Question.CHECK,
            kernel=self._described.asked,
            path=[],
            answer="",
            case=self.case,
            overrides=dict(self.overrides),
            input_set=next(iter(self._described.input_sets)),
            cache=str(self.cache),
            platform=self.platform.name,
            check=check,
        )

    def _ask(self, asked: KernelQuestion, limit_s: float) -> KernelAnswer:
        """Ask in the process that has the kernel loaded, or in another where that one may have ended."""
        if self._conversation is None:
            self._conversation = self._open.enter_context(Conversation(self.kernel))
        try:
            return self._conversation.ask(asked, limit_s)
        except KernelLoadError as error:
            if not isinstance(error, KernelContractError):
                self._conversation = None
            raise

    def _words(self, error: Exception) -> str:
        """What is wrong, without the kernel's name: every line of the output is about it."""
        return f"{error.problem}; {error.remedy}" if isinstance(error, KernelLoadError) else str(error)
