"""Platforms that misbehave in one way each, for the farm's tests. They answer with the golden, so they are quick.

Device indices are those Ray hands out on a local cluster: 0, 1, 2, …
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from kernel.clock import Clock, MeasuredUs, SimulatedUs, WallTime
from kernel.errors import CompileError, DeviceError
from kernel.platforms.protocol import LOG_NAME, Built, Execution, Missing, Probe, Task
from kernel.spec import Kernel, Tensors, Tuning

WALL_US = 40.0
SECONDS = "FAKE_TRIAL_SECONDS"  # environment variable: how long a trial takes where it takes a while


class Honest:
    """Fills the outputs with the golden and takes a fixed time."""

    name = "fake"
    clock = Clock.SIMULATED
    noisy = False

    def __init__(self) -> None:
        self.runs = 0  # on this process's device

    def missing(self) -> list[Missing]:
        return []

    def toolchain(self) -> dict[str, str]:
        return {"fake": "1.0"}

    def soc(self, device: int) -> str:
        return "Fake910"

    def card(self, device: int) -> str:
        return str(device)

    def prepare(self, cache: Path) -> None:
        pass

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        return Built(fingerprint="0" * 64, wall=self.wall(0))

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        for name, expected in kernel.golden(case, inputs).items():
            outputs[name].copy_(expected)
        self.disturb(outputs, device)
        self.runs += 1
        wall = self.wall(device)
        return Execution(wall, (Task("t0", "attn-norm", "AIV_0", 0.0, wall.us),))

    def probe(self, device: int, directory: Path) -> Probe:
        return Probe(True, "fake")

    def disturb(self, outputs: Tensors, device: int) -> None:
        """What is wrong with this platform's numbers."""

    def wall(self, device: int) -> WallTime:
        """How long the run takes."""
        return SimulatedUs(WALL_US)


def hang() -> None:
    """Not end within any limit."""
    time.sleep(600)


def flip_lowest_bit(tensor: torch.Tensor) -> None:
    """Flip the lowest bit of one element in the middle: within every tolerance, and not the same bits."""
    raw = tensor.view(torch.int16).flatten()
    raw[raw.numel() // 2] ^= 1


class TakesASecond(Honest):
    """Right, after a second, with a log."""

    seconds = 1.0

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        (directory / LOG_NAME).write_text("takes its time\n")
        return super().run(kernel, case, tuning, inputs, outputs, device, directory)

    def disturb(self, outputs: Tensors, device: int) -> None:
        time.sleep(float(os.environ.get(SECONDS, self.seconds)))


class TakesThreeSeconds(TakesASecond):
    """Right, after three."""

    seconds = 3.0


class FlipsOnOneDevice(Honest):
    """Device 1 always gives one other bit."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 1:
            flip_lowest_bit(outputs["kv"])


class FlipsOnOneRepeat(Honest):
    """Device 1 gives one other bit on its second run."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 1 and self.runs == 1:
            flip_lowest_bit(outputs["kv"])


class WrongOnOneDevice(Honest):
    """Device 1 is wrong by far, the same way each time."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 1:
            outputs["kv"].mul_(2)


class WrongEverywhere(Honest):
    """Every device is wrong in the same way."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        outputs["q"].mul_(1.5)


class DependsOnDevice(Honest):
    """Every device gives bits of its own."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        raw = outputs["kv"].view(torch.int16).flatten()
        raw[device] ^= 1


class Slow(Honest):
    """Takes longer than any budget, with a toolchain that builds other programs."""

    def toolchain(self) -> dict[str, str]:
        return {"fake": "1.0", "scheduler": "slow"}

    def wall(self, device: int) -> WallTime:
        return SimulatedUs(1868.0)


class Noisy(Honest):
    """Measured times around the budget, wide apart, the same series on each device."""

    clock = Clock.MEASURED
    noisy = True
    series: tuple[float, ...] = (530.0, 560.0, 545.0, 520.0, 570.0, 540.0, 550.0)

    def wall(self, device: int) -> WallTime:
        return MeasuredUs(self.series[self.runs % len(self.series)])


class NoisyButFast(Noisy):
    """Measured times well below the budget."""

    series = (430.0, 460.0, 445.0)


class DiesOnOneDevice(Honest):
    """The process on device 1 is gone in the middle of a run."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 1:
            os._exit(137)


class DiesEverywhere(Honest):
    """The kernel kills whoever runs it."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        os._exit(139)


class HangsOnOneDevice(Honest):
    """Device 1 never answers."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 1:
            hang()


class HangsEverywhere(Honest):
    """The kernel never ends."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        hang()


class TakesAllMemory(Honest):
    """The process takes more and more memory until somebody ends it."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 64)


class FaultsOnOneDevice(Honest):
    """Device 1's runtime reports an AI core timeout."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 1:
            raise DeviceError("507014", "AICORE_TIMEOUT")


class LeavesRowsUnwritten(Honest):
    """Writes every output but the first row of kv."""

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        before = outputs["kv"][0].clone()
        execution = super().run(kernel, case, tuning, inputs, outputs, device, directory)
        outputs["kv"][0].copy_(before)
        return execution


class DoesNotCompile(Honest):
    """The compiler refuses the kernel."""

    def toolchain(self) -> dict[str, str]:
        return {"fake": "one that nobody has built with"}

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        (directory / LOG_NAME).write_text("tile does not fit\n")
        raise CompileError("F21004", "matmul", "tile does not fit")


class DiesInTheBuild(Honest):
    """The kernel ends the compiler's process, on whatever device."""

    def toolchain(self) -> dict[str, str]:
        return {"fake": "one that dies"}

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        os._exit(7)
