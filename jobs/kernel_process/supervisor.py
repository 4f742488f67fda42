"""Starts the process that answers questions to a kernel, and ends it at a limit of time or of what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import psutil
from pydantic import ValidationError

from jobs.kernel_process.messages import KernelAnswer, KernelQuestion, Question
from jobs.sandbox.limits import SandboxCommand, SandboxExit, SandboxLimits, Supervised
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
    Question.HISTORY: "its tuning history was read",
    Question.REFERENCE: "its inputs() and golden() were computed",
    Question.EXECUTE: "it was executed",
    Question.CHECK: "it was checked",
    Question.VERIFY: "it was executed after each compiler pass",
}


class Conversation:
    """A kernel's process that stays to answer one question after another. Use as a context manager."""

    def __init__(self, kernel: str) -> None:
        """`kernel` is its name, or its file and attribute. Nothing is started before the first question."""
        self._kernel = kernel
        self._open = contextlib.ExitStack()
        self._process: Supervised | None = None

    def __enter__(self) -> Conversation:
        """Make the directory that questions and answers lie in."""
        self._scratch = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="farm-kernel-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._open.close()

    def ask(self, asked: KernelQuestion, limit_s: float) -> KernelAnswer:
        """Return what the kernel answers. Raises what `answer` raises; after that it answers nothing more."""
        question, answered, printed = (self._scratch / name for name in ("question", "answer", "printed"))
        whole = asked.model_copy(update={"answer": str(answered), "path": [str(each) for each in sys.path]})
        question.write_text(whole.model_dump_json(), encoding="utf-8")
        if self._process is None:
            self._process = self._open.enter_context(_started(question, answered, printed))
        else:
            self._process.say(str(question))
        ended = self._process.wait(limit_s, answered.exists)
        found = _read(answered)
        if found is None:
            self._process.end()
            raise KernelLoadError(self._kernel, _why(asked, ended, printed), "let it answer and end by itself")
        answered.unlink()
        if found.problem is not None:
            raise found.problem.error()
        return found


def _started(question: Path, answered: Path, printed: Path) -> Supervised:
    return Supervised(
        SandboxCommand([sys.executable, str(_CHILD), str(question)]),
        os.environ,
        SandboxLimits(
            memory_bytes=psutil.virtual_memory().total, processes=_MOST_PROCESSES, log_bytes=_MOST_PRINTED_BYTES
        ),
        printed,
        {Path(f"{answered}.part"): _MOST_ANSWER_BYTES, answered: _MOST_ANSWER_BYTES},
        Path.cwd(),
        spoken_to=True,
    )


def answer(asked: KernelQuestion, limit_s: float) -> KernelAnswer:
    """Ask a kernel one question, in a process of its own, and return what it answers.

    Args:
        asked: The question; its `answer` and `path` are filled in here.
        limit_s: How long it may take.

    Raises:
        KernelLoadError: There is no answer: the process ended before it, took too long, or printed too much.
        UnknownNameError, TuningError, OSError: As the kernel's process answered.
        TensorError, CompileError, UnwrittenOutputError, DeviceError, PlatformUnavailableError: The same, where it was
            to execute.
    """
    with Conversation(asked.kernel) as conversation:
        return conversation.ask(asked, limit_s)


def _read(answered: Path) -> KernelAnswer | None:
    """The answer; None where there is none. It is data, never code."""
    try:
        if answered.stat().st_size > _MOST_ANSWER_BYTES:
            return None
        return KernelAnswer.model_validate(json.loads(answered.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError):
        return None


def _why(asked: KernelQuestion, ended: SandboxExit | None, printed: Path) -> str:
    """Why there is no answer, in one line."""
    said = _last_line(printed)
    after = f"; it last printed: {said}" if said else ""
    while_ = f"while {_DOES[asked.question]}{f' (case {asked.case!r})' if asked.case else ''}"
    if ended is None:
        return f"what its process wrote {while_} is no answer{after}"
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
