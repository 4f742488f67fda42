"""PyPTO's cost model on a compiled graph, in a process that has not compiled it.

PyPTO's public interface times only what it has just compiled. Its library exports what is needed for more: an agent
that loads functions from JSON, takes the topology of their calls, and runs the model. It is called here without PyPTO's
Python side, for the version that `pypto_private` is bound to. The agent's C++ class is laid out by hand, as that
version declares it (`framework/src/cost_model/simulation/backend.h`), and its strings are those of the old ABI.

The library reads the graph with little care, and the graph comes from a process that nobody trusts: run this only in a
process that has nothing to lose.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from pathlib import Path

from kernel.errors import PlatformUnavailableError
from kernel.platforms import compiled, pypto_private, swimlane
from kernel.platforms.compiled_graph import CompiledGraph
from kernel.platforms.fingerprint import fingerprint
from kernel.platforms.protocol import Simulated

CYCLES_PER_US = 1800  # PyPTO's own traces divide by this, though the model's cores run at 1850 MHz
CORE_LOG = "CostModelSimulationOutput/_simulate.swim.json"
_LIBRARIES = ("utils", "cann_host_runtime", "platform", "interface", "codegen", "compiler", "runtime_stub")
_AGENT = "_ZN3npu8tile_fwk14CostModelAgent"
_MAKE_STRING = "_ZNSsC1EPKcRKSaIcE"
_COLUMNS = (10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32)  # how many, where each is, and by how much a sequence is shifted


class _Agent(ctypes.Structure):
    _fields_ = (
        ("from_json", ctypes.c_bool),
        ("json_path", ctypes.c_void_p),
        ("topology_path", ctypes.c_void_p),
        ("columns", ctypes.c_uint64 * len(_COLUMNS)),
        ("model", ctypes.c_void_p * 2),
    )


def simulate(graph_file: Path, directory: Path) -> Simulated:
    """Time the graph in `graph_file`; files are written below `directory`.

    Raises `GraphError` for a graph that is none, `PlatformUnavailableError` where the library cannot be used.
    """
    graph = CompiledGraph.read(graph_file)
    program, topology = directory / "program.json", directory / "dyn_topo.txt"
    program.write_text(json.dumps({"curr_funcmagic": 0, "functions": list(graph.leaves)}))
    topology.write_text(graph.topology)
    roots, leaves = [dict(root) for root in graph.roots], [dict(leaf) for leaf in graph.leaves]
    core_log = _run(program, topology, directory / "model")
    tasks = swimlane.read_core_log(core_log, graph.calls(), compiled.labels(roots), CYCLES_PER_US)
    return Simulated(fingerprint(roots, leaves), tasks)


def _run(program: Path, topology: Path, directory: Path) -> Path:
    pypto_private.require_version("a2a3sim")
    with pypto_private.environment(directory, {"ASCEND_HOME_PATH": None, "PATH": _no_drawing(directory)}):
        library, standard = _loaded()
        agent = _Agent(False, _string(standard, ""), _string(standard, ""), _COLUMNS, (None, None))
        steps: Sequence[tuple[str, ctypes.c_void_p | None]] = (
            ("19GetFunctionFromJsonERKSs", _string(standard, str(program))),
            ("10SubmitTopoERSs", _string(standard, str(topology))),
            ("30SubmitLeafFunctionsToCostModelEv", None),
            ("12RunCostModelEv", None),
            ("18TerminateCostModelEv", None),
        )
        for name, argument in steps:
            _call(library, f"{_AGENT}{name}", agent, argument)
    found = list(directory.glob(f"*/{CORE_LOG}"))
    if len(found) != 1:
        raise PlatformUnavailableError("a2a3sim", "the cost model left no log of its cores", "see the log")
    return found[0]


def _loaded() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    package = pypto_private.package_directory()
    assert package is not None, "require_version was called"
    names = ["libc_sec.so", *(f"libtile_fwk_{name}.so" for name in _LIBRARIES), "libtile_fwk_simulation.so"]
    loaded = [ctypes.CDLL(str(package / "lib" / name), mode=ctypes.RTLD_GLOBAL) for name in names]
    return loaded[-1], ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)


_KEPT: list[object] = []  # the model keeps the strings' memory


def _string(standard: ctypes.CDLL, text: str) -> ctypes.c_void_p:
    """A C++ string of the old ABI: one pointer."""
    made, allocator = ctypes.c_void_p(), ctypes.c_char()
    make = standard[_MAKE_STRING]
    make.argtypes, make.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p), None
    make(ctypes.byref(made), text.encode(), ctypes.byref(allocator))
    _KEPT.append(made)
    return made


def _call(library: ctypes.CDLL, name: str, agent: _Agent, argument: ctypes.c_void_p | None) -> None:
    function = library[name]
    function.restype = None
    given = [] if argument is None else [ctypes.byref(argument)]
    function.argtypes = [ctypes.c_void_p] * (1 + len(given))
    function(ctypes.byref(agent), *given)


def _no_drawing(directory: Path) -> str:
    """A search path whose `python3` does nothing: PyPTO would draw pictures with it."""
    empty = directory / "no-drawing"
    empty.mkdir(parents=True, exist_ok=True)
    (empty / "python3").write_text("#!/bin/sh\nexit 0\n")
    (empty / "python3").chmod(0o755)
    return os.pathsep.join([str(empty), os.environ.get("PATH", os.defpath)])
