"""The platform `a2a3sim`: PyPTO's compiler and cost model of an Ascend 910B1, and its host calculator for the numbers.

Needs no NPU. Its µs are predictions and exactly repeatable: the same program gives the same time in every process, so
a difference of any size between two programs is a real difference of the model.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch

from kernel.clock import Clock, SimulatedUs
from kernel.errors import KernelLayerError, PlatformUnavailableError
from kernel.platforms import calculator, environment, pypto_driver, pypto_private, swimlane
from kernel.platforms.compiled_graph import GRAPH_NAME
from kernel.platforms.pass_verify import PassCheck, read_checks
from kernel.platforms.protocol import TRACE_NAME, Built, Execution, Missing, Needs, Probe, Task
from kernel.platforms.pypto_driver import Compiled, Launch
from kernel.platforms.pypto_simulation import CYCLES_PER_US
from kernel.spec import Kernel, Program, Tensors, Tuning

_RUN_MODE_SIM = 1  # pypto.RunMode.SIM
# Where CANN is set up, PyPTO would also compile for the device: slower, and it ends the process where that fails.
_CANN_HOME = "ASCEND_HOME_PATH"
_COST_MODEL_OUTPUT = "CostModelSimulationOutput"
_CORE_LOG = "_simulate.swim.json"
# No core writes more than this to global memory; 24 cube and 48 vector cores are all there are.
_CORES = 72
_BYTES_PER_CYCLE = 76.1  # of one core's copies out: 1 / (2·2000·3.2883e-6), PyPTO's PostSimulatorA2A3.h, rounded up
_KEEP = (_CORE_LOG, "_simulate.stat.report.txt")


class A2A3Sim:
    """Compiles with PyPTO, times with its cost model, computes with its host calculator.

    PyPTO 0.2.0 cannot load a compiled program, so every run compiles again; a build proves that the program compiles,
    predicts its time and gives the fingerprint later runs are held to.
    """

    name = "a2a3sim"
    clock = Clock.SIMULATED
    noisy = False
    recording = _CORE_LOG
    graph = GRAPH_NAME
    simulator = "kernel.platforms.pypto_simulation:simulate"

    def __init__(self) -> None:
        self._cache: Path | None = None
        self._hands_over_graph = False

    def missing(self) -> list[Missing]:
        """What is not here and must be before this platform can run."""
        return [*environment.missing_pypto(), *environment.missing_build_tools()]

    def toolchain(self) -> dict[str, str]:
        """Versions of everything that can change a number."""
        package = pypto_private.package_directory()
        model = package / "lib" / "configs" / "A2A3.ini" if package else None
        digest = hashlib.sha256(model.read_bytes()).hexdigest() if model and model.exists() else ""
        return {**environment.toolchain(), "cost_model": digest}

    def soc(self, device: int) -> str:
        """The chip the cost model describes; every simulated device is the same."""
        return "Ascend910B1 (cost model)"

    def card(self, device: int) -> str:
        """Every simulated device is a card of its own."""
        return str(device)

    def unbuilt(self, cache: Path) -> str:
        """PyPTO's calculator, where it is neither in `cache` nor in the user's own cache yet."""
        return "" if calculator.is_at_hand(cache) else "PyPTO's host calculator"

    def build_once(self, cache: Path) -> None:
        """Build the calculator into `cache`. Raises `PlatformUnavailableError`."""
        calculator.ensure_built(cache, self.name)

    def prepare(self, cache: Path) -> None:
        """Load PyPTO and its calculator, building the latter into `cache` if it is not there. Idempotent.

        Raises `PlatformUnavailableError` naming what is missing.
        """
        for missing in self.missing():
            raise PlatformUnavailableError(self.name, f"{missing.what} is missing", missing.remedy)
        environment.native_logs_below(cache)
        pypto_private.load(self.name)
        calculator.load(cache, self.name)
        pypto_private.hand_over_inputs()
        self._cache = cache

    def build(self, kernel: Kernel, case: str, tuning: Tuning, directory: Path) -> Built:
        """Compile and predict, without numbers. Raises `CompileError`."""
        self._prepared()
        blank = {
            spec.name: torch.zeros(spec.shape, dtype=spec.dtype)
            for spec in (*kernel.input_specs(case), *kernel.output_specs(case))
        }
        compiled, tasks = self._launch(kernel.program(case, tuning), blank, blank, directory, numbers=False)
        return Built(compiled.fingerprint, SimulatedUs(swimlane.wall_us(tasks)), tasks)

    def run(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, device: int, directory: Path
    ) -> Execution:
        """Compile, predict, and compute every output in place. Raises `CompileError`.

        `device` only names the lease: simulated devices share nothing and do not differ.
        """
        self._prepared()
        compiled, tasks = self._launch(kernel.program(case, tuning), inputs, outputs, directory, numbers=True)
        return Execution(SimulatedUs(swimlane.wall_us(tasks)), tasks, compiled.fingerprint)

    def verify(
        self, kernel: Kernel, case: str, tuning: Tuning, inputs: Tensors, outputs: Tensors, directory: Path
    ) -> list[PassCheck]:
        """Compile with the numbers computed again after every compiler pass, each compared with the tensor graph's.

        Raises `CompileError`.
        """
        self._prepared()
        verify = {"enable_pass_verify": True, "pass_verify_pass_filter": ["all"]}
        artefacts = self._compile(kernel.program(case, tuning), inputs, outputs, directory, verify)
        checks = read_checks(artefacts)
        pypto_driver.keep_only(directory, artefacts, lambda path: path.name.startswith("verify_"))
        return checks

    def probe(self, device: int, directory: Path) -> Probe:
        """Run the canary program and compare its answer bit by bit; about a second."""
        self._prepared()
        from kernel.platforms import canary  # imports PyPTO

        operands, outputs = canary.inputs(), canary.blank_outputs()
        try:
            self._launch(canary.program(), operands, outputs, directory, numbers=True)
        except KernelLayerError as error:
            return Probe(False, f"canary program: {error}")
        right = torch.equal(outputs["out"], canary.expected(operands))
        return Probe(right, "canary program: every element right" if right else "canary program: wrong answer")

    def needs(self, device: int | None) -> Needs:
        """The calculator, built once for all."""
        return Needs(cache=(calculator.DIRECTORY,))

    def read_recording(self, path: Path) -> tuple[Task, ...]:
        """The cost model's log of its cores, without the stages, which are not in it."""
        return swimlane.read_core_log(path, (), {}, CYCLES_PER_US)

    def hand_over_graph(self) -> None:
        """Leave the compiled program as data from here on."""
        self._hands_over_graph = True

    def floor_us(self, written_bytes: int) -> float:
        """All cores writing at their full width all the time."""
        return written_bytes / (_BYTES_PER_CYCLE * _CORES * CYCLES_PER_US)

    def _launch(
        self, program: Program, inputs: Tensors, outputs: Tensors, directory: Path, *, numbers: bool
    ) -> tuple[Compiled, tuple[Task, ...]]:
        verify = {"enable_pass_verify": True, "pass_verify_pass_filter": []} if numbers else {}
        artefacts = self._compile(program, inputs, outputs, directory, verify)
        graph = directory / self.graph if self._hands_over_graph else None
        compiled = pypto_driver.read_compiled(artefacts, graph)
        core_log = artefacts / _COST_MODEL_OUTPUT / _CORE_LOG
        tasks = swimlane.read_core_log(core_log, compiled.topology, compiled.labels, CYCLES_PER_US)
        swimlane.write_trace(directory / TRACE_NAME, tasks, compiled.topology)
        pypto_driver.keep_only(directory, artefacts, lambda path: path.name in _KEEP)
        return compiled, tasks

    def _compile(
        self, program: Program, inputs: Tensors, outputs: Tensors, directory: Path, verify: dict[str, object]
    ) -> Path:
        views = pypto_driver.argument_views(program, inputs, outputs)
        packed = [
            pypto_driver.pack_nz(view) if argument.nz else view
            for argument, view in zip(program.arguments, views, strict=True)
        ]
        how = Launch(self.name, {"run_mode": _RUN_MODE_SIM}, verify, variables=self._variables())
        return pypto_driver.launch(program, packed, how, directory)

    def _variables(self) -> dict[str, str | None]:
        path = os.environ.get("PATH", os.defpath)
        return {_CANN_HOME: None, "PATH": os.pathsep.join([str(environment.no_drawing(self._prepared())), path])}

    def _prepared(self) -> Path:
        if self._cache is None:
            raise PlatformUnavailableError(self.name, "it was not prepared", "call prepare(cache) first")
        return self._cache
