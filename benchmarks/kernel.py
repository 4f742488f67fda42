"""The reference kernel's simulated time, its cores' use and the floor; and a peer kernel's beside it, in one run.

    python benchmarks/kernel.py --case flash-s2
    python benchmarks/kernel.py --case flash-s2 --peer path/to/peer.py:program

FILE:FUNCTION names a Python file and a function in it that takes the dimensions of the case (a mapping
of the symbols T, D, H, HEAD_DIM, ROPE_DIM, Q_LORA, … to numbers) and returns a `kernel.spec.Program`. Its arguments are
named as the operator's operands; a kernel without the fused attn-norm may ask for `token_x` ([T, D], BF16), the
normalised tokens. Both programs get the same inputs and the same cost model, and both have their numbers checked.

The floor is a time that no schedule of the operator beats in this cost model: see `benchmarks.floor`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # A script's own directory comes first on its path, where this very file would be taken for the package `kernel`.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.floor import CUBES, VECTORS, floor_us, stage_floors_us
from farm import paths
from jobs import poison
from jobs.reference import reference
from kernel.errors import KernelLayerError
from kernel.platforms import pypto_private
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.platforms.protocol import Task
from kernel.qkv_proj_rope import KERNEL
from kernel.qkv_proj_rope.golden import attn_norm
from kernel.qkv_proj_rope.shapes import shape_of
from kernel.spec import Program
from kernel.tolerance import compare

ProgramOf = Callable[[Mapping[str, int]], Program]


class PeerError(KernelLayerError):
    """The peer's file cannot be used."""


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--case", default="flash-s2", choices=list(KERNEL.cases))
    parser.add_argument("--peer", metavar="FILE:FUNCTION", help="a PyPTO kernel to compare with")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    try:
        measured = measure(options.case, load_peer(options.peer) if options.peer else None)
    except KernelLayerError as error:
        sys.exit(f"kernel benchmark: {error}")
    if options.json:
        print(json.dumps(measured, indent=2))
        return
    for name, value in measured.items():
        print(f"{name:24} {value:.2f}" if isinstance(value, float) else f"{name:24} {value}")


def measure(case: str, peer: ProgramOf | None) -> dict[str, Any]:
    """Simulated µs, utilisation and wrong outputs of ours and of the peer, and the floor."""
    theirs = peer_program(peer, case) if peer is not None else None  # first: a peer that fails costs no measurement
    ours = KERNEL.program(case, KERNEL.tuning(case, {}))
    measured: dict[str, Any] = {"case": case, "floor_us": floor_us(shape_of(case)), **_simulate("ours", case, ours)}
    measured["ours_over_floor"] = measured["ours_us"] / measured["floor_us"]
    if theirs is not None:
        measured.update(_simulate("peer", case, theirs))
        measured["ours_over_peer"] = measured["ours_us"] / measured["peer_us"]
    return measured


def load_peer(place: str) -> ProgramOf:
    """The function `FILE:FUNCTION` names. Raises `PeerError`."""
    file, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location("peer", file) if file and Path(file).is_file() else None
    if spec is None or spec.loader is None:
        raise PeerError(f"--peer {place} is not FILE:FUNCTION with an existing Python file")
    module = importlib.util.module_from_spec(spec)
    pypto_private.load(A2A3Sim.name)  # or the peer's own import of PyPTO would turn on every library's debug log
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # foreign code: whatever it raises is the peer's fault
        raise PeerError(f"--peer {file} does not import: {_in_a_line(error)}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise PeerError(f"--peer {file} has no function '{name}'")
    program_of: ProgramOf = found
    return program_of


def peer_program(peer: ProgramOf, case: str) -> Program:
    """What the peer's function makes of the dimensions of `case`. Raises `PeerError`."""
    try:
        program = peer(dict(KERNEL.cases[case].dims))
    except (Exception, SystemExit) as error:
        raise PeerError(f"the peer's function fails for {case}: {_in_a_line(error)}") from error
    if not isinstance(program, Program):
        raise PeerError(f"the peer's function returns {type(program).__name__}, not a kernel.spec.Program")
    return program


def _in_a_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class _Variant:
    """The kernel with another program: same operands, same inputs."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        return getattr(KERNEL, name)

    def program(self, case: str, tuning: object) -> Program:
        """The other program."""
        return self._program


def _simulate(who: str, case: str, program: Program) -> dict[str, Any]:
    platform = A2A3Sim()
    platform.prepare(paths.cache())
    input_set = next(iter(KERNEL.input_sets))
    held = reference(KERNEL, case, input_set, 0, paths.cache())
    inputs = {
        **held.inputs,
        "token_x": attn_norm(held.inputs["x"].reshape(shape_of(case).t, -1), held.inputs["norm_w"]),
    }
    outputs = poison.poisoned(KERNEL.output_specs(case), seed=1)
    with tempfile.TemporaryDirectory(prefix="kernel-benchmark-") as scratch:
        tuning = KERNEL.tuning(case, {})
        execution = platform.run(_Variant(program), case, tuning, inputs, outputs, 0, Path(scratch))
    wrong = [
        name
        for name, bound in KERNEL.tolerances.items()
        if not compare(name, outputs[name], held.golden[name], bound, "golden").passed
    ]
    assert execution.wall is not None  # this platform's cost model times every program
    wall = execution.wall.us
    floors = stage_floors_us(shape_of(case)) if who == "ours" else {}
    spans = {f"{who}_{stage}_us": _span_us(execution.tasks, stage) for stage in floors}
    return {
        f"{who}_us": wall,
        f"{who}_wrong_outputs": ", ".join(wrong) or "none",
        f"{who}_tasks": len(execution.tasks),
        f"{who}_cube_use": _busy(execution.tasks, "AIC") / (wall * CUBES),
        f"{who}_vector_use": _busy(execution.tasks, "AIV") / (wall * VECTORS),
        **spans,
        **{f"{stage}_floor_us": floor for stage, floor in floors.items()},
    }


def _busy(tasks: tuple[Task, ...], kind: str) -> float:
    return sum(task.duration_us for task in tasks if task.core.startswith(kind))


def _span_us(tasks: tuple[Task, ...], stage: str) -> float:
    """From the start of a stage's first task to the end of its last."""
    own = [task for task in tasks if task.stage == stage]
    return max(task.start_us + task.duration_us for task in own) - min(task.start_us for task in own)


if __name__ == "__main__":
    main()
