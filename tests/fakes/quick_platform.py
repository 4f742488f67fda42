"""A platform that answers with the small kernel's golden at once, and can be told to go wrong in one way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kernel.clock import Clock, SimulatedUs
from kernel.platforms.protocol import LOG_NAME, TRACE_NAME, Built, Execution, Missing, Probe, Task
from kernel.platforms.swimlane import write_trace
from kernel.spec import Kernel, Tensors, Tuning

TASKS = (Task("0-0-0", "matmul", "AIC_1", 0.0, 4.0), Task("0-0-1", "scale", "AIV_25", 5.0, 1.5))


def _nothing(inputs: Tensors, outputs: Tensors) -> None:
    pass


class QuickPlatform:
    """Follows `kernel.platforms.protocol.Platform`."""

    name = "quick"
    clock = Clock.SIMULATED
    noisy = False

    def __init__(self) -> None:
        self.version = "1"
        self.builds = 0
        self.after_run: Callable[[Tensors, Tensors], object] = _nothing  # may disturb inputs and outputs
        self.error: Exception | None = None  # raised by the next build or run

    def missing(self) -> list[Missing]:
        return []

    def toolchain(self) -> dict[str, str]:
        return {"quick": self.version}

    def soc(self, device: int) -> str:
        return "Quick1"

    def card(self, device: int) -> str:
        return str(device)

    def prepare(self, cache: Path) -> None:
        pass

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        self.builds += 1
        self._leave_log(directory)
        return Built("f" * 64, SimulatedUs(6.5), TASKS)

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        self._leave_log(directory)
        for name, tensor in kernel.golden(case, inputs).items():
            outputs[name].copy_(tensor)
        self.after_run(inputs, outputs)
        write_trace(directory / TRACE_NAME, TASKS)
        return Execution(SimulatedUs(6.5), TASKS, "f" * 64)

    def probe(self, device: int, directory: Path) -> Probe:
        if self.error is not None:
            raise self.error
        return Probe(True, "quick canary")

    def _leave_log(self, directory: Path) -> None:
        (directory / LOG_NAME).write_text("what the compiler printed\n")
        if self.error is not None:
            raise self.error
