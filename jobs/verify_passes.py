"""Checks the compiler's own work on one program: the numbers after every pass against those of the recorded graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jobs import poison
from jobs.reference import reference
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.platforms.pass_verify import PassCheck
from kernel.spec import Kernel, Tuning


def verify(kernel: Kernel, case: str, tuning: Tuning, cache_dir: Path) -> list[PassCheck]:
    """One check a compiler pass, on the documented inputs with seed 0. Raises `CompileError`."""
    platform = A2A3Sim()
    platform.prepare(cache_dir)
    inputs = reference(kernel, case, next(iter(kernel.input_sets)), 0, cache_dir).inputs
    outputs = poison.poisoned(kernel.output_specs(case), seed=0)
    with tempfile.TemporaryDirectory(prefix="farm-verify-") as scratch:
        return platform.verify(kernel, case, tuning, inputs, outputs, Path(scratch))
