"""Starts the process that answers a question to a kernel, and ends it at a limit of time or of what it prints."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import psutil
from pydantic import ValidationError

from jobs.kernel_process.messages import KernelAnswer, KernelQuestion, Question
from jobs.sandbox import limits as supervision
from jobs.sandbox.limits import SandboxExit, SandboxLimits
from jobs.visible_text import visible
from kernel.errors import KernelLoadError

_CHILD = Path(__file__).with_name("child.py")
_MOST_ANSWER_BYTES = 64 << 20
_MOST_PRINTED_BYTES = 16 << 20
_MOST_PROCESSES = 4096  # a golden may compute in parallel
_TAIL_BYTES = 4096
_DOES = {
    Question.DESCRIBE: "it was loaded",
    Question.TUNING: "its tuning() was computed",
    Question.REFERENCE: "its inputs() and golden() were computed",
}


def answer(asked: KernelQuestion, limit_s: float) -> KernelAnswer:
    """Ask a kernel, in a process of its own, and return what it answers.

    Args:
        asked: The question; its `answer` and `path` are filled in here.
        limit_s: How long it may take.

    Raises:
        KernelLoadError: There is no answer: the process ended before it, took too long, or printed too much.
        UnknownNameError, TuningError, OSError: As the kernel's process answered.
    """
    with tempfile.TemporaryDirectory(prefix="farm-kernel-") as scratch:
        question, answered, printed = (Path(scratch) / name for name in ("question", "answer", "printed"))
        whole = asked.model_copy(update={"answer": str(answered), "path": [str(each) for each in sys.path]})
        question.write_text(whole.model_dump_json(), encoding="utf-8")
        ended = supervision.run(
            [sys.executable, str(_CHILD), str(question)],
            os.environ,
            _limits(limit_s),
            printed,
            {Path(f"{answered}.part"): _MOST_ANSWER_BYTES},
            Path.cwd(),
        )
        found = _read(answered)
        if found is None:
            raise KernelLoadError(asked.kernel, _why(asked, ended, printed), "let it answer and end by itself")
    if found.problem is not None:
        raise found.problem.error()
    return found


def _limits(limit_s: float) -> SandboxLimits:
    return SandboxLimits(
        memory_bytes=psutil.virtual_memory().total,
        processes=_MOST_PROCESSES,
        log_bytes=_MOST_PRINTED_BYTES,
        time_s=limit_s,
    )


def _read(answered: Path) -> KernelAnswer | None:
    """The answer; None where there is none. It is data, never code."""
    try:
        return KernelAnswer.model_validate(json.loads(answered.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError):
        return None


def _why(asked: KernelQuestion, ended: SandboxExit, printed: Path) -> str:
    """Why there is no answer, in one line."""
    said = _last_line(printed)
    after = f"; it last printed: {said}" if said else ""
    while_ = f"while {_DOES[asked.question]}{f' (case {asked.case!r})' if asked.case else ''}"
    if ended.over:
        return f"its process was stopped {while_}: {ended.over}{after}"
    return f"its process ended with exit code {ended.code} {while_}, without an answer{after}"


def _last_line(printed: Path) -> str:
    if not printed.exists():
        return ""
    with printed.open("rb") as file:
        file.seek(max(0, printed.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return " ".join(visible(last[:200]).split())
