"""A kernel with a tuning space, whose own process answers for as long as somebody searches that space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jobs.kernel_process.described import DescribedKernel
from jobs.kernel_process.description import LOAD_S, is_foreign, require_files
from jobs.kernel_process.messages import HistoryRecord, KernelAnswer, KernelQuestion, KernelRecord, Question
from jobs.kernel_process.supervisor import Conversation
from kernel import file_kernels
from kernel.registry import find_tunable
from kernel.spec import Step, TunableKernel


class DescribedTunable(DescribedKernel):
    """Follows `kernel.spec.TunableKernel`."""

    def __init__(self, asked: str, record: KernelRecord, ask: Callable[[KernelQuestion, float], KernelAnswer]) -> None:
        """`asked` is what the kernel was asked for by. `ask` is what answers for it."""
        super().__init__(asked, record, ask)
        self._histories: dict[str, HistoryRecord] = {}

    def defaults(self) -> Mapping[str, int | float | bool | str]:
        """As the kernel answers."""
        return self._history(self.default_case).defaults

    def tunings(self) -> Path:
        """As the kernel answers."""
        return Path(self._history(self.default_case).tunings)

    def untuned(self, case: str) -> Mapping[str, str]:
        """As the kernel answers."""
        return self._history(case).untuned

    def steps(self, case: str) -> tuple[Step, ...]:
        """As the kernel answers."""
        return tuple(Step(each.name, each.summary, tuple(each.knobs)) for each in self._history(case).steps)

    def tuning_space(self, case: str) -> Mapping[str, tuple[str, ...]]:
        """As the kernel answers."""
        return {key: tuple(values) for key, values in self._history(case).space.items()}

    def _history(self, case: str) -> HistoryRecord:
        if case not in self._histories:
            answered = self._answer(Question.HISTORY, case).history
            assert answered is not None, "a history that was read without a problem"
            self._histories[case] = answered
        return self._histories[case]


@contextmanager
def tunable(name: str) -> Iterator[TunableKernel]:
    """The kernel `name`, which must declare a tuning space; its own process lasts as long as this context.

    The installation's own kernels are loaded as they are. Raises `UnknownNameError`, `TuningError`, `KernelLoadError`.
    """
    if not is_foreign(name):
        yield find_tunable(name)
        return
    asked = file_kernels.absolute(name)
    with Conversation(asked) as process:
        record = process.ask(
            KernelQuestion(question=Question.DESCRIBE, kernel=asked, path=[], answer=""), LOAD_S
        ).kernel
        assert record is not None, "a kernel that was described without a problem"
        require_files(record)
        found = DescribedTunable(asked, record, process.ask)
        found.defaults()  # raises where it declares none
        yield found
