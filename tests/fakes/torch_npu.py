"""A fake torch_npu: NPUs made of host memory, behind the few calls the platform `a2a3` makes.

Tensors "on" a device are copies, NZ tensors are really packed, PyPTO's launch is answered by its own simulator, and the
runtime's swim-lane file is written where the runtime would write it. `install` puts it in place for one test.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from kernel.platforms import a2a3sim, calculator, compiled, environment, pypto_driver, pypto_private, swimlane
from kernel.platforms.compressed import unpacked

_NZ = 29


class FakeNpu:
    """What the fake devices were asked to do, and what they are to do wrong."""

    def __init__(self, devices: int, cache: Path) -> None:
        self._cache = cache
        self.devices = devices
        self.current = 0
        self.used: list[int] = []  # device of each launch
        self.fail_with = ""  # a runtime error to raise at launch
        self.no_swim_lanes = False  # the runtime writes no trace
        self.formats: dict[int, int] = {}  # id of a packed tensor → its format
        self._alive: list[torch.Tensor] = []  # ids are only unique among the living

    def module(self) -> ModuleType:
        """The module to import as `torch_npu`."""
        module = ModuleType("torch_npu")
        module.__spec__ = ModuleSpec("torch_npu", None)
        module.__dict__.update(__version__="fake", npu=self.npu(), npu_format_cast=self.format_cast)
        return module

    def npu(self) -> SimpleNamespace:
        """What the module adds to torch as `torch.npu`."""
        return SimpleNamespace(
            set_device=self.set_device,
            synchronize=lambda: None,
            get_device_name=lambda index: "Ascend910B1",
            current_stream=lambda: SimpleNamespace(npu_stream=0),
        )

    def set_device(self, index: int) -> None:
        if index >= self.devices:
            raise RuntimeError(f"set_device: error code is 107001, invalid device id {index}")
        self.current = index

    def format_cast(self, tensor: torch.Tensor, wanted: int) -> torch.Tensor:
        have = self.formats.get(id(tensor))
        if wanted == _NZ and have is None:
            packed = pypto_driver.pack_nz(tensor)
            self.formats[id(packed)] = _NZ
            self._alive.append(packed)
            return packed
        if wanted != _NZ and have == _NZ:
            rows, columns = tensor.shape
            block = 32 // tensor.element_size()
            return tensor.reshape(columns // block, rows, block).permute(1, 0, 2).reshape(rows, columns)
        return tensor

    def launch(self, wrapper: Any, stream: int, tensors: Sequence[torch.Tensor], definitions: list[Any]) -> None:
        """Answers `pypto_impl.LaunchKernelTorch`."""
        if self.fail_with:
            raise RuntimeError(self.fail_with)
        self.used.append(self.current)
        wrapper._runtime_options["run_mode"] = 1
        wrapper._verify_options = {"enable_pass_verify": True, "pass_verify_pass_filter": []}
        compile_only = (wrapper._host_options or {}).get("compile_stage", 0) == 5
        wrapper._host_options = None
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("ASCEND_HOME_PATH")  # PyPTO would start CANN's compiler
            patch.setenv("PATH", str(environment.no_drawing(self._cache)), prepend=os.pathsep)
            wrapper._execute_kernel(list(tensors), definitions)
        if not compile_only and not self.no_swim_lanes:
            self._write_swim_lanes(pypto_private.output_directory())

    def _write_swim_lanes(self, artefacts: Path) -> None:
        roots = list(compiled.functions(artefacts / "program.json", compiled.ROOT_GRAPH))
        calls = compiled.topology(artefacts / "dyn_topo.txt")
        log = artefacts / "CostModelSimulationOutput" / "_simulate.swim.json"
        tasks = swimlane.read_core_log(log, calls, compiled.labels(roots), 1800)
        merged = artefacts / "merged_swimlane.json"
        swimlane.write_trace(merged, tasks)
        events = json.loads(unpacked(merged.read_bytes()))
        # The runtime's file has lanes that are no cores, too.
        events["traceEvents"] += [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1000, "args": {"name": "Fake Core_0"}},
            {"ph": "X", "name": "0-0-9-1-0(fake)", "pid": 1, "tid": 1000, "ts": -1.0, "dur": 1.0},
        ]
        merged.write_text(json.dumps(events))


def install(monkeypatch: pytest.MonkeyPatch, cache: Path, devices: int = 2) -> FakeNpu:
    """Put the fake in place until the test ends."""
    fake = FakeNpu(devices, cache)
    a2a3sim.A2A3Sim().prepare(cache)
    calculator.load(cache, "a2a3")
    monkeypatch.setenv("ASCEND_HOME_PATH", "/opt/ascend")  # not before: PyPTO would load CANN's libraries from there
    monkeypatch.delenv("ASCEND_RT_VISIBLE_DEVICES", raising=False)
    from pypto import pypto_impl

    monkeypatch.setitem(sys.modules, "torch_npu", fake.module())
    monkeypatch.setattr(torch, "npu", fake.npu(), raising=False)
    monkeypatch.setattr(torch.Tensor, "npu", lambda tensor, index: tensor.clone(), raising=False)
    monkeypatch.setattr(pypto_impl, "LaunchKernelTorch", fake.launch)
    return fake
