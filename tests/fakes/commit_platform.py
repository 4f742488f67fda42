"""A platform that runs a commit's program as quickly as the sandbox starts: the program itself says how it goes.

Its kernel may carry `wall_us` (its time), `wrong` (its first output is wrong), `unsteady` (its bits differ from run to
run) and `by_device` (from device to device); one with a true `broken` does not compile, one that `hangs` does not end.
`claimed_us` is the time that its process says it took, whatever the program takes; `claimed_build_us` that of a build.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from kernel.clock import Clock, MeasuredUs, SimulatedUs, WallTime
from kernel.errors import CompileError
from kernel.platforms.protocol import Built, Execution, Missing, Probe, Task
from kernel.spec import Kernel, Tensors, Tuning


class CommitPlatform:
    """Follows `kernel.platforms.protocol.Platform`, on an exact clock."""

    name = "commit"
    clock = Clock.SIMULATED
    noisy = False

    def missing(self) -> list[Missing]:
        return []

    def toolchain(self) -> dict[str, str]:
        return {"commit": "1"}

    def soc(self, device: int) -> str:
        return "Commit1"

    def card(self, device: int) -> str:
        return str(device)

    def prepare(self, cache: Path) -> None:
        pass

    def probe(self, device: int, directory: Path) -> Probe:
        return Probe(True, "commit canary")

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        self._compile(kernel)
        return Built(self._fingerprint(kernel), self.wall(float(getattr(kernel, "claimed_build_us", self._us(kernel)))))

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        self._compile(kernel)
        for name, expected in kernel.golden(case, inputs).items():
            outputs[name].copy_(expected)
        first = next(iter(outputs.values())).flatten()
        if getattr(kernel, "wrong", False):
            first[0] += 100
        if getattr(kernel, "unsteady", False):
            first[0] += os.urandom(1)[0] + os.urandom(1)[0] / 256
        if getattr(kernel, "by_device", False):
            first[0] += device
        if getattr(kernel, "hangs", False):
            time.sleep(3600)
        us = float(getattr(kernel, "claimed_us", self._us(kernel)))
        return Execution(self.wall(us), (Task("t0", "all", "AIV_0", 0.0, us),), self._fingerprint(kernel))

    def wall(self, us: float) -> WallTime:
        """The time a program says it takes."""
        return SimulatedUs(us)

    def _us(self, kernel: Kernel) -> float:
        return float(getattr(kernel, "wall_us", 40.0))

    def _fingerprint(self, kernel: Kernel) -> str:
        """Of the program: another time is another program."""
        return hashlib.sha256(str(getattr(kernel, "wall_us", 40.0)).encode()).hexdigest()

    def _compile(self, kernel: Kernel) -> None:
        if getattr(kernel, "broken", False):
            raise CompileError("F00001", "matmul", "tile too large")


class NoisyCommitPlatform(CommitPlatform):
    """The same on a clock that is off by up to 1 % from run to run."""

    name = "noisy-commit"
    clock = Clock.MEASURED
    noisy = True

    def wall(self, us: float) -> WallTime:
        """Another time in every process."""
        return MeasuredUs(us)

    def _us(self, kernel: Kernel) -> float:
        return super()._us(kernel) * (1 + (os.urandom(1)[0] - 128) / 12800)
