"""The process that loads a kernel which is not the installation's own, and answers questions about it.

Started as `python child.py QUESTION`; more questions follow on its standard input, a file a line. The caller reads the
file of the answer and nothing else: an exit code says nothing here, because the kernel may have set it.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.kernel_process.messages import (
        HistoryRecord,
        KernelAnswer,
        KernelProblem,
        KernelQuestion,
        KernelRecord,
    )
    from kernel.spec import Kernel, TensorSpec

_PR_SET_PDEATHSIG = 1


def main(question_file: str) -> None:
    """Answer what `question_file` asks and what follows, and end without running what the kernel leaves to exit."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    more = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())  # a kernel that reads finds the end of the file
    while question_file:
        _write_answer(Path(question_file).read_text(encoding="utf-8"))
        question_file = more.readline().strip()
    os._exit(0)


def _write_answer(text: str) -> None:
    sys.path[:] = json.loads(text)["path"]
    from jobs.kernel_process.messages import KernelAnswer, KernelQuestion, problem_of

    asked = KernelQuestion.model_validate_json(text)
    try:
        answer = _answer(asked)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a kernel raises is its answer
        answer = KernelAnswer(problem=problem_of(error, asked.kernel, _words(error)))
    fresh = Path(f"{asked.answer}.part")
    fresh.write_text(json.dumps(answer.model_dump(mode="python")), encoding="utf-8")
    fresh.replace(asked.answer)


def _answer(asked: KernelQuestion) -> KernelAnswer:
    from jobs.kernel_process.messages import KernelAnswer, Question, numbers_of
    from kernel.registry import find_kernel

    kernel = find_kernel(asked.kernel)
    if asked.question is Question.DESCRIBE:
        return KernelAnswer(kernel=_described(kernel))
    if asked.question is Question.TUNING:
        found, problem = _tried(
            kernel,
            f"tuning() of case '{asked.case}'",
            lambda: numbers_of(kernel.tuning(asked.case, asked.overrides).as_dict()),
        )
        return KernelAnswer(tuning=found or {}, problem=problem)
    if asked.question is Question.HISTORY:
        found, problem = _tried(kernel, f"its tuning history of case '{asked.case}'", lambda: _history(asked))
        return KernelAnswer(history=found, problem=problem)
    if asked.question in (Question.EXECUTE, Question.VERIFY):
        return _executed(kernel, asked)
    if asked.question is Question.CHECK:
        from jobs.kernel_process import contract_checks

        words, problem = _tried(kernel, f"its {asked.check}", lambda: contract_checks.run(kernel, asked))
        return KernelAnswer(found=words or "", problem=problem)
    what = f"its specs, inputs() or golden() of case '{asked.case}'"
    _, problem = _tried(kernel, what, lambda: _referenced(kernel, asked))
    return KernelAnswer(problem=problem)


def _history(asked: KernelQuestion) -> HistoryRecord:
    from jobs.kernel_process.messages import HistoryRecord, StepRecord, numbers_of
    from kernel.registry import find_tunable

    kernel, case = find_tunable(asked.kernel), asked.case
    steps = [
        StepRecord(name=str(step.name), summary=str(step.summary), knobs=[str(knob) for knob in step.knobs])
        for step in kernel.steps(case)
    ]
    return HistoryRecord(
        defaults=numbers_of(kernel.defaults()),
        tunings=str(kernel.tunings()),
        untuned={str(key): str(value) for key, value in kernel.untuned(case).items()},
        steps=steps,
        space={str(key): [str(value) for value in values] for key, values in kernel.tuning_space(case).items()},
    )


def _executed(kernel: Kernel, asked: KernelQuestion) -> KernelAnswer:
    """Execute the kernel here; a failure that is not its own is the device's."""
    from jobs.faults import failures
    from jobs.kernel_process.messages import KernelAnswer, KernelProblem, Question, problem_of
    from jobs.records import Fault
    from kernel.errors import KernelLayerError

    try:
        return _verified(kernel, asked) if asked.question is Question.VERIFY else _run(kernel, asked)
    except KernelLayerError as error:
        return KernelAnswer(problem=problem_of(error, kernel.name, _words(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a kernel is foreign code
        failed = failures.failure(error, kernel)
        if failed.fault is Fault.KERNEL:
            return KernelAnswer(problem=problem_of(error, kernel.name, f"it failed: {failed.message}"))
        return KernelAnswer(problem=KernelProblem(kind="device", words=[failed.kind, failed.message]))


def _run(kernel: Kernel, asked: KernelQuestion) -> KernelAnswer:
    from jobs.kernel_process.messages import KernelAnswer
    from jobs.run_file import run_on_file
    from kernel.registry import find_platform

    tuning, platform = kernel.tuning(asked.case, asked.overrides), find_platform(asked.platform)
    source, target = Path(asked.inputs), Path(asked.outputs)
    execution = run_on_file(kernel, asked.case, tuning, platform, source, target, Path(asked.cache))
    return KernelAnswer(wall_us=execution.wall.us if execution.wall else None)


def _verified(kernel: Kernel, asked: KernelQuestion) -> KernelAnswer:
    from jobs.kernel_process.messages import KernelAnswer, PassRecord
    from jobs.verify_passes import verify

    checks = verify(kernel, asked.case, kernel.tuning(asked.case, asked.overrides), Path(asked.cache))
    return KernelAnswer(passes=[PassRecord.model_validate(dataclasses.asdict(check)) for check in checks])


def _referenced(kernel: Kernel, asked: KernelQuestion) -> bool:
    from jobs import reference

    reference.reference(kernel, asked.case, asked.input_set, asked.seed, Path(asked.cache))
    if asked.seeded:
        reference.require_seeded(kernel, asked.case, asked.input_set, asked.seed)
    return True


def _described(kernel: Kernel) -> KernelRecord:
    from jobs.kernel_process.messages import CaseRecord, KernelRecord, SpecRecord, numbers_of

    def specs(found: tuple[TensorSpec, ...]) -> list[SpecRecord]:
        return [SpecRecord(name=each.name, shape=list(each.shape), dtype=str(each.dtype)) for each in found]

    def case(name: str) -> CaseRecord:
        what = f"of case '{name}'"
        operands, specs_problem = _tried(
            kernel, f"its specs {what}", lambda: (specs(kernel.input_specs(name)), specs(kernel.output_specs(name)))
        )
        knobs, tuning_problem = _tried(
            kernel, f"tuning() {what}", lambda: numbers_of(kernel.tuning(name, {}).as_dict())
        )
        inputs, outputs = operands or ([], [])
        return CaseRecord(
            name=name,
            summary=str(kernel.cases[name].summary),
            dims=dict(kernel.cases[name].dims),
            inputs=inputs,
            outputs=outputs,
            specs_problem=specs_problem,
            tuning=knobs or {},
            tuning_problem=tuning_problem,
        )

    return KernelRecord(
        name=kernel.name,
        summary=str(kernel.summary),
        default_case=kernel.default_case,
        cases={name: case(name) for name in kernel.cases},
        input_sets={name: str(line) for name, line in kernel.input_sets.items()},
        tolerances={name: [each.atol, each.rtol, each.outlier_share] for name, each in kernel.tolerances.items()},
        sources=[str(path) for path in kernel.sources()],
        budgets=str(kernel.budgets()),
        rules=_rules(kernel),
    )


def _rules(kernel: Kernel) -> list[str] | None:
    """Patterns of the files that judge the kernel, where it names its own."""
    found = getattr(kernel, "rules", None)
    return None if found is None else [str(each) for each in found]


def _tried(kernel: Kernel, what: str, ask: Callable[[], Any]) -> tuple[Any, KernelProblem | None]:
    """What `ask` gives, or why it gives nothing."""
    from jobs.kernel_process.messages import problem_of

    try:
        return ask(), None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a kernel raises is its answer
        within = Path("/")
        with contextlib.suppress(Exception, SystemExit):  # foreign code again
            within = Path(kernel.sources()[0]).resolve().parent
        return None, problem_of(error, kernel.name, f"{what} failed: {_words(error, within)}")


def _words(error: BaseException, within: Path = Path("/")) -> str:
    from kernel.errors import KernelLayerError, words_of
    from kernel.file_kernels import last_line

    return words_of(error) if isinstance(error, KernelLayerError) else last_line(error, within)


if __name__ == "__main__":
    main(sys.argv[1])
