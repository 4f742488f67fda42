"""The platform `a2a3`: the same PyPTO program on an Ascend NPU of the A2 or A3 generation, through torch_npu.

Written from PyPTO's sources and documentation, and held to the platforms' contract test with a fake torch_npu.
**It has not been run on hardware yet.**

Device indices are physical ones, as `npu-smi` shows them. Where Ray (or anyone) has narrowed the process to some of
them through ASCEND_RT_VISIBLE_DEVICES, torch counts from zero within that list; the translation is made here and
nowhere else.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from kernel.clock import Clock, MeasuredUs
from kernel.errors import CompileError, DeviceError, KernelLayerError, PlatformUnavailableError
from kernel.platforms import (
    ascend_container,
    environment,
    npu_smi,
    pypto_driver,
    pypto_errors,
    pypto_private,
    swimlane,
)
from kernel.platforms.capture import captured
from kernel.platforms.device_limits import DeviceLimits
from kernel.platforms.protocol import LOG_NAME, TRACE_NAME, Built, Execution, Missing, Needs, Probe, Task
from kernel.platforms.pypto_driver import Compiled, Launch
from kernel.spec import Kernel, Program, Tensors, Tuning

_RUN_MODE_NPU = 0  # pypto.RunMode.NPU
_SWIM_LANES = {"runtime_debug_mode": 1}  # the runtime then writes every task's start and end
_COMPILE_ONLY = {"compile_stage": 5}  # pypto.CompStage.CODEGEN_BINARY: everything but the launch
_MERGED = "merged_swimlane.json"
_FORMAT_ND, _FORMAT_NZ = 2, 29  # torch_npu's numbers of the row-major and the fractal layout

_PRINTED_BYTES = 4 << 20  # of a log; more is one error over and over


class A2A3:
    """Compiles with PyPTO and runs on an NPU; the time is measured, from the first task's start to the last one's end.

    PyPTO 0.2.0 cannot load a compiled program, so every run compiles again. The first run after loading a device is
    slower than the rest; who measures discards it.
    """

    name = "a2a3"
    clock = Clock.MEASURED
    noisy = True

    def __init__(self) -> None:
        self._torch_npu: Any = None
        self._limits: DeviceLimits | None = None  # None leaves the runtime its own

    def missing(self) -> list[Missing]:
        """What is not here and must be before this platform can run."""
        found = environment.missing_pypto()
        if find_spec("torch_npu") is None:
            found.append(Missing("torch_npu", "talks to the NPU", "pip install torch_npu, of torch's own version"))
        if not os.environ.get("ASCEND_HOME_PATH"):
            found.append(Missing("CANN", "compiles for the NPU and runs on it", "source the toolkit's set_env.sh"))
        return found

    def toolchain(self) -> dict[str, str]:
        """Versions of everything that can change a number or a time."""
        home = os.environ.get("ASCEND_HOME_PATH", "")
        version = getattr(self._torch_npu, "__version__", "")
        return {**environment.toolchain(), "torch_npu": str(version), "cann": str(Path(home).resolve()) if home else ""}

    def soc(self, device: int) -> str:
        """The chip behind physical device `device`, as its driver calls it."""
        return str(self._loaded().npu.get_device_name(visible_index(device)))

    def card(self, device: int) -> str:
        """The card that carries physical chip `device`: its serial number, or its number on this node."""
        return npu_smi.card(device)

    def identity(self, device: int) -> str:
        """What physical chip `device` is called wherever it is plugged in; "" where the driver does not tell."""
        return npu_smi.identity(device)

    def prepare(self, cache: Path) -> None:
        """Load torch_npu and PyPTO. Idempotent. Raises `PlatformUnavailableError` naming what is missing."""
        for missing in self.missing():
            raise PlatformUnavailableError(self.name, f"{missing.what} is missing", missing.remedy)
        environment.own_python_first()
        environment.native_logs_below(cache)
        self._limits = DeviceLimits.told(os.environ)
        if self._limits is not None:
            os.environ.update(self._limits.runtime_variables())
        import torch_npu

        pypto_private.load(self.name)
        self._torch_npu = torch_npu

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        """Compile down to the device's binary, on the first visible device, without launching it.

        Raises `CompileError`. There is no predicted time: only a run measures one.
        """
        blank = {
            spec.name: torch.zeros(spec.shape, dtype=spec.dtype)
            for spec in (*kernel.input_specs(case), *kernel.output_specs(case))
        }
        how = Launch(self.name, {"run_mode": _RUN_MODE_NPU}, host=_COMPILE_ONLY, on_device=True)
        artefacts = self._launch(kernel.program(case, tuning), blank, blank, 0, how, directory)
        compiled = pypto_driver.read_compiled(artefacts)
        pypto_driver.keep_only(directory, artefacts, lambda path: False)
        return Built(compiled.fingerprint, wall=None)

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Compile and run once on physical device `device`, filling every output in place.

        Raises `CompileError`, or `DeviceError` with the runtime's code; also where the runtime wrote no swim lanes,
        because a run without a time has measured nothing.
        """
        program = kernel.program(case, tuning)
        compiled, tasks = self._timed(program, inputs, outputs, device, directory)
        return Execution(MeasuredUs(swimlane.wall_us(tasks)), tasks, compiled.fingerprint)

    def needs(self, device: int | None) -> Needs:
        """The driver's nodes of that one device, the toolkit, and the variables by which they are found."""
        chosen = ascend_container.first_visible(os.environ) if device is None else device
        return ascend_container.needs(chosen, os.environ)

    def probe(self, device: int, directory: Path) -> Probe:
        """Ask the driver about physical device `device`, then run the canary program there and compare bit by bit.

        The driver first: the canary could hang on a chip that the driver has given up already.
        """
        self._loaded()
        driver = npu_smi.read(device)
        if driver.healthy is False:
            return Probe(False, driver.detail)
        from kernel.platforms import canary  # imports PyPTO

        operands, outputs = canary.inputs(), canary.blank_outputs()
        try:
            self._timed(canary.program(), operands, outputs, device, directory)
        except KernelLayerError as error:
            return Probe(False, f"canary program: {error}; {driver.detail}")
        right = torch.equal(outputs["out"], canary.expected(operands))
        answer = "every element right" if right else "wrong answer"
        return Probe(right, f"canary program: {answer}; {driver.detail}")

    def _timed(
        self, program: Program, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> tuple[Compiled, tuple[Task, ...]]:
        how = Launch(self.name, {"run_mode": _RUN_MODE_NPU}, debug=_SWIM_LANES, on_device=True)
        artefacts = self._launch(program, inputs, outputs, visible_index(device), how, directory)
        compiled = pypto_driver.read_compiled(artefacts)
        merged = artefacts / _MERGED
        tasks = swimlane.read_trace(merged) if merged.exists() else ()
        if not tasks:
            raise DeviceError("no-swimlane", f"the runtime wrote no tasks to {_MERGED}, so there is no time")
        swimlane.write_trace(directory / TRACE_NAME, tasks)
        pypto_driver.keep_only(directory, artefacts, lambda path: False)
        return compiled, tasks

    def _launch(
        self, program: Program, inputs: Tensors, outputs: Tensors, index: int, how: Launch, directory: Path
    ) -> Path:
        """Run on the `index`-th visible device, and bring back every operand, inputs too: a changed one must show."""
        npu = self._loaded()
        views = pypto_driver.argument_views(program, inputs, outputs)
        try:
            npu.npu.set_device(index)
            if self._limits is not None:
                self._limits.limit_device_op()
            placed = [
                self._placed(view, index, nz=argument.nz)
                for argument, view in zip(program.arguments, views, strict=True)
            ]
            artefacts = pypto_driver.launch(program, placed, how, directory)
            with captured(directory / LOG_NAME):
                npu.npu.synchronize()
            for argument, view, there in zip(program.arguments, views, placed, strict=True):
                plain = npu.npu_format_cast(there, _FORMAT_ND) if argument.nz else there
                view.copy_(plain.cpu())
        except CompileError as error:
            if how.host or not pypto_errors.is_machines(error.code):
                raise
            raise DeviceError(error.code, error.summary, _printed(directory)) from error  # it had compiled
        except PlatformUnavailableError:
            raise
        except RuntimeError as error:
            raise pypto_errors.device_error(error, _printed(directory)) from error
        return artefacts

    def _placed(self, view: torch.Tensor, index: int, *, nz: bool) -> torch.Tensor:
        there: torch.Tensor = view.npu(index)  # type: ignore[attr-defined]  # a method torch_npu adds
        return self._torch_npu.npu_format_cast(there, _FORMAT_NZ) if nz else there

    def _loaded(self) -> Any:
        if self._torch_npu is None:
            raise PlatformUnavailableError(self.name, "it was not prepared", "call prepare(cache) first")
        return self._torch_npu


def _printed(directory: Path) -> str:
    """The beginning of what was printed, where the first fault stands."""
    log = directory / LOG_NAME
    if not log.exists():
        return ""
    with log.open("rb") as file:
        return file.read(_PRINTED_BYTES).decode(errors="replace")


def visible_index(device: int) -> int:
    """The index torch knows physical device `device` by. Raises `PlatformUnavailableError` where it is hidden."""
    visible = os.environ.get(ascend_container.VISIBLE, "").strip()
    if not visible:
        return device
    listed = [entry.strip() for entry in visible.split(",")]
    if str(device) not in listed:
        reason = f"device {device} is hidden: {ascend_container.VISIBLE}={visible}"
        raise PlatformUnavailableError("a2a3", reason, "pass physical indices, and lease before running")
    return listed.index(str(device))
