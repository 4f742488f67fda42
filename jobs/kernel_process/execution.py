"""Has a kernel executed on one device: in this process where it is the installation's own, else in its own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from jobs import run_file, verify_passes
from jobs.kernel_process import supervisor
from jobs.kernel_process.description import is_foreign
from jobs.kernel_process.messages import KernelAnswer, KernelQuestion, Question
from kernel import file_kernels
from kernel.errors import UnwrittenOutputError
from kernel.platforms.pass_verify import PassCheck
from kernel.platforms.protocol import Platform
from kernel.spec import Kernel, TensorSpec


@dataclass(frozen=True, slots=True)
class KernelExecution:
    """A kernel, as it was asked for, with what is executed of it."""

    name: str  # its name, or its file and attribute
    kernel: Kernel  # loaded where it is the installation's own, else described
    case: str
    overrides: Mapping[str, str]  # of the tuning
    cache: Path
    limit_s: float  # of a kernel in a process of its own

    def on_file(self, platform: Platform, source: Path, target: Path) -> float | None:
        """Read the inputs from `source`, run once, write the outputs to `target`; return the µs, None for no time.

        Raises what `jobs.run_file.run_on_file` raises, and `KernelLoadError`.
        """
        if not is_foreign(self.name):
            tuning = self.kernel.tuning(self.case, self.overrides)
            ran = run_file.run_on_file(self.kernel, self.case, tuning, platform, source, target, self.cache)
            return ran.wall.us if ran.wall else None
        run_file.read_inputs(source, self.kernel.input_specs(self.case))
        run_file.require_directory(target)
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            answered = self._answer(Question.EXECUTE, platform.name, str(source.resolve()), str(fresh.resolve()))
            _require_specified(fresh, self.kernel.output_specs(self.case))
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
        return answered.wall_us

    def verified(self) -> list[PassCheck]:
        """Execute it after each compiler pass. Raises `KernelLoadError`, and as `jobs.verify_passes.verify` does."""
        if not is_foreign(self.name):
            tuning = self.kernel.tuning(self.case, self.overrides)
            return verify_passes.verify(self.kernel, self.case, tuning, self.cache)
        return [PassCheck(**dict(each)) for each in self._answer(Question.VERIFY).passes]

    def _answer(self, question: Question, platform: str = "", inputs: str = "", outputs: str = "") -> KernelAnswer:
        asked = KernelQuestion(
            question=question,
            kernel=file_kernels.absolute(self.name),
            path=[],
            answer="",
            case=self.case,
            overrides=dict(self.overrides),
            cache=str(self.cache),
            platform=platform,
            inputs=inputs,
            outputs=outputs,
        )
        return supervisor.answer(asked, self.limit_s)


def _require_specified(written: Path, specs: tuple[TensorSpec, ...]) -> None:
    """Raise `UnwrittenOutputError` unless `written` holds what `specs` promise."""
    try:
        found = load_file(written)
    except (SafetensorError, OSError) as error:
        raise UnwrittenOutputError(f"the kernel's process left no outputs: {error}") from error
    wanted = {spec.name: (tuple(spec.shape), spec.dtype) for spec in specs}
    if {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in found.items()} != wanted:
        raise UnwrittenOutputError(f"the kernel's process left other outputs than {', '.join(wanted)} as specified")
