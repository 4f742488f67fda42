"""The confined process: takes the kernel's program from a tree, builds or runs it, and answers in plain files.

Started as `python -I entrypoint.py JOB`, in a sandbox where there is one. Everything up to `_kernel` is trusted;
from there on the program has the process, and its answer is worth what its reader can check.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.sandbox.protocol import AnsweredTask, SandboxAnswer, SandboxOrder, SandboxProblem
    from kernel.platforms.protocol import Built, Execution, Simulated
    from kernel.spec import Kernel, Tensors, Tuning

_PR_SET_PDEATHSIG = 1


def main(job_file: str, trusted: str) -> None:
    """Do what `job_file` says with the farm's own packages from directory `trusted`."""
    sys.path.insert(0, trusted)
    from jobs.sandbox.protocol import SandboxAnswer, SandboxOrder

    job = SandboxOrder.model_validate_json(Path(job_file).read_text())
    sys.path.extend(str(path) for path in job.python)
    _limit(job)
    job.directory.mkdir(parents=True, exist_ok=True)
    with _log_handed_over(job):
        try:
            answer = _work(job)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a program raises is its answer
            answer = SandboxAnswer(problem=_problem(error))
    job.answer.write_text(answer.model_dump_json())


def _limit(job: SandboxOrder) -> None:
    """Take on the limits, and the user id that goes with them, irrevocably."""
    with contextlib.suppress(OSError):
        # Without a sandbox nothing else would end this process when the worker is killed.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if job.uid is not None:
        os.setgroups(job.groups)
        os.setresgid(job.uid, job.uid, job.uid)
        os.setresuid(job.uid, job.uid, job.uid)
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: job.file_bytes,
        resource.RLIMIT_AS: job.address_bytes,
        resource.RLIMIT_NOFILE: job.open_files,
        resource.RLIMIT_CPU: job.cpu_s,
        **({} if job.processes is None else {resource.RLIMIT_NPROC: job.processes}),
    }
    for which, most in wanted.items():
        hard = resource.getrlimit(which)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (bound, bound))


@contextlib.contextmanager
def _log_handed_over(job: SandboxOrder) -> Iterator[None]:
    """What the platform has logged, copied to where the worker finds it."""
    from kernel.platforms.protocol import LOG_NAME

    try:
        yield
    finally:
        log = job.directory / LOG_NAME
        if log.exists() and log != job.log:
            with log.open("rb") as source, job.log.open("r+b") as target:
                shutil.copyfileobj(source, target)


def _simulated(job: SandboxOrder) -> SandboxAnswer:
    """What the platform's cost model makes of a compiled program."""
    from jobs.sandbox.protocol import SandboxAnswer
    from kernel.platforms import swimlane

    done = _named(job.platform)(job.graph, job.directory)
    return SandboxAnswer(wall_us=swimlane.wall_us(done.tasks), fingerprint=done.fingerprint, tasks=_answered(done))


def _answered(done: Built | Execution | Simulated) -> list[AnsweredTask]:
    from jobs.sandbox.protocol import AnsweredTask

    return [
        AnsweredTask(
            name=task.name,
            stage=task.stage,
            core=task.core,
            start_us=task.start_us,
            duration_us=task.duration_us,
        )
        for task in done.tasks
    ]


def _work(job: SandboxOrder) -> SandboxAnswer:
    from jobs.sandbox.protocol import SandboxAction

    return _simulated(job) if job.action is SandboxAction.SIMULATE else _run(job)


def _run(job: SandboxOrder) -> SandboxAnswer:
    from jobs.sandbox.protocol import SandboxAction, SandboxAnswer

    changed: list[str] = []
    if job.action is SandboxAction.RUN:
        import torch  # seconds, and a build needs it only where its platform does

        torch.set_num_threads(1)  # as in the worker: a sum's order must not depend on how many there are
    platform = _named(job.platform)()
    _share_cache(job)
    platform.prepare(job.cache)
    if job.graph is not None:
        platform.hand_over_graph()
    kernel = _kernel(job)
    _require_case(kernel, job.case)
    tuning = kernel.tuning(job.case, job.overrides)
    if job.action is SandboxAction.BUILD:
        done = platform.build(kernel, job.case, tuning, job.directory)
    else:
        done, changed = _on_operands(job, platform, kernel, tuning)
    if job.recording is not None:
        _copy(job.directory / platform.recording, job.recording)
    if job.graph is not None:
        _copy(job.directory / platform.graph, job.graph)
    return SandboxAnswer(
        wall_us=None if done.wall is None else done.wall.us,
        fingerprint=done.fingerprint,
        tuning=dict(tuning.as_dict()),
        changed_inputs=changed,
        tasks=_answered(done),
    )


def _on_operands(job: SandboxOrder, platform: Any, kernel: Kernel, tuning: Tuning) -> tuple[Execution, list[str]]:
    """Run it, and leave its outputs; also the inputs that it has changed."""
    from safetensors.torch import load_file, save_file

    from jobs import poison

    operands = load_file(job.operands)
    inputs, outputs = _part(operands, "input/"), _part(operands, "output/")
    before = poison.digests(inputs)
    done = platform.run(kernel, job.case, tuning, inputs, outputs, job.device, job.directory)
    changed = poison.changed(before, inputs)
    fresh = job.directory / "outputs.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in outputs.items()}, fresh)
    _copy(fresh, job.outputs)
    return done, changed


def _share_cache(job: SandboxOrder) -> None:
    """Let the platform find in its cache what the worker has prepared."""
    if job.shared_cache is not None and job.shared_cache.is_dir():
        job.cache.mkdir(parents=True, exist_ok=True)
        for prepared in job.shared_cache.iterdir():
            (job.cache / prepared.name).symlink_to(prepared)


def _copy(source: Path, target: Path) -> None:
    """The contents of `source` into `target`, which is there already and cannot be replaced."""
    with source.open("rb") as opened, target.open("r+b") as written:
        shutil.copyfileobj(opened, written)


def _part(operands: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): each for name, each in operands.items() if name.startswith(prefix)}


class _UnknownCaseError(Exception):
    """The program does not know the case."""


def _require_case(kernel: Kernel, case: str) -> None:
    if case not in kernel.cases:
        raise _UnknownCaseError(f"the program knows no case '{case}', only {', '.join(sorted(kernel.cases))}")


def _kernel(job: SandboxOrder) -> Kernel:
    """The kernel object from the tree. Nothing but `job.module` and what is below it comes from there."""
    _load_from_tree(job.module, job.place)
    from kernel.validation import held

    return held(_named(job.kernel), any_program=True)  # what a platform makes of another is the sandbox's to contain


def _load_from_tree(name: str, place: Path) -> ModuleType:
    package = place.is_dir()
    file = place / "__init__.py" if package else place
    if package and not file.exists():
        raise FileNotFoundError(f"{place.name}/ has no __init__.py")
    for parent in _parents(name):
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=[str(place)] if package else None
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    above, _, last = name.rpartition(".")
    if above:
        setattr(sys.modules[above], last, module)
    return module


def _parents(name: str) -> list[str]:
    parts = name.split(".")[:-1]
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _named(where: str) -> Any:
    module, _, attribute = where.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _problem(error: BaseException) -> SandboxProblem:
    """`error` as an answer; the trusted side decides what to make of it."""
    from jobs.sandbox.protocol import Complaint, SandboxProblem, plain
    from kernel.errors import CompileError, DeviceError, PlatformUnavailableError, TensorError, TuningError, words_of

    message = plain(words_of(error))[:4000]
    if isinstance(error, CompileError):
        return SandboxProblem(
            complaint=Complaint.COMPILE,
            message=plain(error.summary)[:4000],
            code=plain(error.code)[:200],
            operation=plain(error.operation)[:200],
        )
    if isinstance(error, DeviceError):
        return SandboxProblem(
            complaint=Complaint.DEVICE, message=plain(error.summary)[:4000], code=plain(error.code)[:200]
        )
    for kind, complaint in (
        (TuningError, Complaint.TUNING),
        (TensorError, Complaint.TENSOR),
        (_UnknownCaseError, Complaint.NO_CASE),
        (PlatformUnavailableError, Complaint.PLATFORM),
    ):
        if isinstance(error, kind):
            return SandboxProblem(complaint=complaint, message=message)
    return SandboxProblem(complaint=Complaint.RAISED, message=f"{type(error).__name__}: {message}"[:4000])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
