"""What a kernel's own process says of it. Loads no torch, so that the service may ask."""

from __future__ import annotations

from pathlib import Path

from jobs.kernel_process import supervisor
from jobs.kernel_process.messages import KernelQuestion, KernelRecord, Question
from jobs.sandbox.commit_kernel import INSTALLED
from kernel import file_kernels
from kernel.errors import KernelLoadError
from kernel.registry import find_kernel, kernel_entry
from kernel.validation import require_case_names

LOAD_S = 120.0  # a busy machine takes many seconds to import torch


def is_foreign(name: str) -> bool:
    """Return whether the kernel `name` is not one of the installation's own. Raises `UnknownNameError`."""
    if file_kernels.is_path(name):
        return file_kernels.file_of(name).is_file()  # one that is not there is refused without loading anything
    return kernel_entry(name).partition(":")[0].partition(".")[0] not in INSTALLED


def describe(asked: str) -> KernelRecord:
    """Return what the process of the kernel `asked` answers. Raises `KernelLoadError`, `UnknownNameError`."""
    question = KernelQuestion(question=Question.DESCRIBE, kernel=asked, path=[], answer="")
    record = supervisor.answer(question, LOAD_S).kernel
    assert record is not None, "a kernel that was described without a problem"
    require_files(record)
    return record


def require_files(record: KernelRecord) -> None:
    """Raise `KernelLoadError` where what the kernel calls its files is something that reading has no end of.

    Its cases are checked again as well: the kernel may have written the answer itself.
    """
    require_case_names(record.name, record.cases)
    for what, names in (("sources()", record.sources), ("budgets()", [record.budgets])):
        for name in names:
            if Path(name).exists() and not Path(name).is_file():
                raise KernelLoadError(record.name, f"its {what} name {name}, which is no file", "name a file")


def cases_of(name: str) -> list[str]:
    """Return the cases of the kernel `name`, without running foreign code here. Raises what `describe` raises."""
    return list(describe(file_kernels.absolute(name)).cases if is_foreign(name) else find_kernel(name).cases)
