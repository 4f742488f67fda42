"""Checks the answer of a confined process: errors of a known class, outputs of the right form, times that agree.

The process belongs to the program, so everything in its answer is a claim of the program until it has been checked
against something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from jobs.sandbox.commit_kernel import (
    BadProgramAnswerError,
    LimitExceededError,
    ProgramDiedError,
    ProgramHungError,
    ProgramRaisedError,
    UnknownCaseError,
    UnprovenTimeError,
)
from jobs.sandbox.limits import SandboxExit
from jobs.sandbox.protocol import BadAnswerError, Complaint, SandboxAnswer, SandboxProblem, plain, read_answer
from kernel.errors import CompileError, DeviceError, KernelLayerError, TensorError, TuningError
from kernel.platforms import swimlane
from kernel.platforms.protocol import Platform, Recorded, Task
from kernel.spec import Tensors

_RESOLUTION_US = 1e-5  # times are rounded to 1e-6 µs each
_CONTRADICTION = "the program's answer contradicts itself"


def understood(ended: SandboxExit, answer_file: Path, printed: Path) -> SandboxAnswer:
    """The answer, once the process has ended well and answered without a complaint; else the error it comes to."""
    if ended.hung:
        raise ProgramHungError(f"{ended.over}; the program was killed")
    if ended.over:
        raise LimitExceededError(f"the program was killed for {ended.over}")
    if ended.code != 0:
        last = plain(_last_line(printed))
        raise ProgramDiedError(f"the program's process ended with code {ended.code}{f': {last}' if last else ''}")
    try:
        answer = read_answer(answer_file)
    except BadAnswerError as error:
        raise BadProgramAnswerError(str(error)) from error
    if answer.problem is not None:
        raise _error_of(answer.problem)
    return answer


def _error_of(problem: SandboxProblem) -> KernelLayerError:
    message = plain(problem.message)
    if problem.complaint is Complaint.COMPILE:
        return CompileError(plain(problem.code), plain(problem.operation), message)
    if problem.complaint is Complaint.DEVICE:
        return DeviceError(plain(problem.code), message)
    kinds: Mapping[Complaint, type[KernelLayerError]] = {
        Complaint.TUNING: TuningError,
        Complaint.TENSOR: TensorError,
        Complaint.NO_CASE: UnknownCaseError,
    }
    return kinds.get(problem.complaint, ProgramRaisedError)(message)


def fill(outputs: Tensors, file: Path) -> None:
    """Copy what the process wrote into `outputs`. Raises `BadProgramAnswerError`."""
    try:
        found = load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        told = plain(str(error))[:200]
        raise BadProgramAnswerError(f"the program's outputs are no safetensors file: {told}") from error
    if sorted(found) != sorted(outputs):
        raise BadProgramAnswerError(
            f"the program answered with {plain(', '.join(found))[:200] or 'no output'} in place of {', '.join(outputs)}"
        )
    for name, tensor in outputs.items():
        answered = found[name]
        if answered.shape != tensor.shape or answered.dtype != tensor.dtype:
            raise BadProgramAnswerError(
                f"output '{name}' came back as {answered.dtype} {list(answered.shape)}, "
                f"not {tensor.dtype} {list(tensor.shape)}"
            )
        tensor.copy_(answered)


def tasks_of(answer: SandboxAnswer) -> tuple[Task, ...]:
    """The tasks the process answers with, their names made harmless."""
    return tuple(
        Task(plain(task.name), plain(task.stage), plain(task.core), task.start_us, task.duration_us)
        for task in answer.tasks
    )


def require_consistent(
    platform: Platform, answer: SandboxAnswer, tasks: tuple[Task, ...], moved: int, recording: Path
) -> None:
    """What can be checked of a time from outside. Raises `BadProgramAnswerError`."""
    if answer.wall_us is None or not tasks:
        raise BadProgramAnswerError("the program answered without a time or without tasks")
    if abs(swimlane.wall_us(tasks) - answer.wall_us) > _RESOLUTION_US:
        raise BadProgramAnswerError(
            f"{_CONTRADICTION}: its time is {answer.wall_us:.2f} µs, its tasks take {swimlane.wall_us(tasks):.2f} µs"
        )
    if not isinstance(platform, Recorded):
        return
    try:
        recorded = platform.read_recording(recording)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadProgramAnswerError(f"the platform's recording cannot be read: {type(error).__name__}") from error
    if sorted(_span(task) for task in recorded) != sorted(_span(task) for task in tasks):
        raise BadProgramAnswerError(f"{_CONTRADICTION}: its tasks are not those of the platform's recording")
    floor_us = platform.floor_us(moved)
    if answer.wall_us < floor_us:
        raise BadProgramAnswerError(
            f"{answer.wall_us:.2f} µs is less than the {floor_us:.2f} µs all cores together take to write the outputs"
        )


def require_same(answer: SandboxAnswer, computed: SandboxAnswer) -> None:
    """Hold what the process says of its program to what was computed from it. Raises `UnprovenTimeError`."""
    said, found = sorted(map(_span, tasks_of(answer))), sorted(map(_span, tasks_of(computed)))
    if said != found or answer.fingerprint != computed.fingerprint:
        raise UnprovenTimeError(
            f"the program's process says {_us(answer)} for its program, and the cost model gives {_us(computed)} for "
            "what it compiled"
        )


def _us(answer: SandboxAnswer) -> str:
    time = "no time" if answer.wall_us is None else f"{answer.wall_us:.2f} µs"
    return f"{time} ({answer.fingerprint[:12] or 'unnamed'})"


def _span(task: Task) -> tuple[str, float, float]:
    return task.core, round(task.start_us, 5), round(task.duration_us, 5)


def _last_line(file: Path) -> str:
    lines = file.read_bytes()[-4096:].decode(errors="replace").strip().splitlines() if file.exists() else []
    return lines[-1][:200] if lines else ""
