"""A platform whose programs are plain Python functions on tensors, and so a place where hostile ones are tried fast."""

from __future__ import annotations

import json
from pathlib import Path

from kernel.clock import Clock, SimulatedUs
from kernel.platforms.protocol import LOG_NAME, Built, Execution, Missing, Needs, Probe, Task
from kernel.spec import Kernel, Tensors, Tuning

WALL_US = 6.5
TASKS = (Task("t0", "all", "AIV_1", 0.0, WALL_US),)


class PlainPlatform:
    """Follows `Platform` and `Recorded` of `kernel.platforms.protocol`: calls the entry with inputs and outputs."""

    name = "plain"
    clock = Clock.SIMULATED
    noisy = False
    recording = "recording.json"

    def missing(self) -> list[Missing]:
        return []

    def toolchain(self) -> dict[str, str]:
        return {"plain": "1"}

    def soc(self, device: int) -> str:
        return "Plain1"

    def card(self, device: int) -> str:
        return str(device)

    def prepare(self, cache: Path) -> None:
        pass

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        kernel.program(case, tuning)
        self._record(directory)
        return Built("f" * 64, SimulatedUs(WALL_US), TASKS)

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        (directory / LOG_NAME).write_text("what the compiler printed\n")
        kernel.program(case, tuning).entry(inputs, outputs)
        self._record(directory)
        return Execution(SimulatedUs(WALL_US), TASKS, "f" * 64)

    def probe(self, device: int, directory: Path) -> Probe:
        return Probe(True, "plain")

    def read_recording(self, path: Path) -> tuple[Task, ...]:
        return tuple(Task(*fields) for fields in json.loads(path.read_text()))

    def floor_us(self, written_bytes: int) -> float:
        return written_bytes / 1e6

    def _record(self, directory: Path) -> None:
        rows = [[task.name, task.stage, task.core, task.start_us, task.duration_us] for task in TASKS]
        (directory / self.recording).write_text(json.dumps(rows))


class NodePlatform(PlainPlatform):
    """The same with device nodes below `root`/dev, as a driver has them: one a device, and one for all."""

    name = "nodes"

    def __init__(self, root: Path = Path("/nowhere")) -> None:
        self._root = root

    def needs(self, device: int | None) -> Needs:
        """Follows `Confinable`. A build gets device 2's."""
        nodes = self._root / "dev"
        return Needs(
            devices=(nodes / f"davinci{2 if device is None else device}", nodes / "davinci_manager"),
            variables={"TOOLKIT": str(self._root / "toolkit")},
            read=(self._root / "toolkit",),
            python=(self._root / "toolkit" / "python",),
        )
