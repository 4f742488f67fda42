"""The reference kernel's simulated time, its cores' use and the floor; and a peer kernel's beside it, in one run.

    python benchmarks/kernel.py --case flash-s2
    python benchmarks/kernel.py --case flash-s2 --peer path/to/peer.py:program

FILE:FUNCTION names a Python file and a function in it that takes the dimensions of the case (a mapping
of the symbols T, D, H, HEAD_DIM, ROPE_DIM, Q_LORA, … to numbers) and returns a `kernel.spec.Program`. Its arguments are
named as the operator's operands; a kernel without the fused attn-norm may ask for `token_x` ([T, D], BF16), the
normalised tokens. Both programs get the same inputs and the same cost model, and both have their numbers checked.

The floor is a time that no schedule of the operator's five dependent stages (attn-norm, wq_a, qr-norm, q-proj, heads)
can beat in this cost model. It uses the model's own prices, in cycles of 1/1800 simulated µs (PyPTO's divisor):

* A copy into a core costs 1400 cycles and 1/95.7 a byte, a copy out of it 300 and 1/76.0 a byte: PyPTO's
  `PipeSimulatorFast.cpp` (these latencies, and 2000·(2·bytes·r·1e-6 + c) + 1 cycles) with r of `PostSimulatorA2A3.h`
  (COPY_IN 2.613, COPY_OUT 3.2883).
* The 24 cube and 48 vector cores are those of A2A3.ini. They share only global memory, so each stage copies in and out.
* A task ends about 390 cycles before its successor can start (measured: a scheduler of the model frees a successor in
  0.22 µs).

A row of `qr` needs all of `wq_a`, and a q-proj task needs a row of `qr`. So all of `wq_a` and then all of `wq_b` is
copied into the cubes, one after the other, whatever overlaps:

    floor = (5·(1400 + 300) + 4·390 + bytes(wq_a + wq_b) / (24·95.7)) / 1800

Prices of computing are left out, which keeps it a lower bound. A stage's own floor is its latencies and its operands'
bytes over all cores of its kind, read or written, whichever takes longer.
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

CUBES, VECTORS = 24, 48
CYCLES_PER_US = 1800
READ_LATENCY, WRITE_LATENCY, EDGE = 1400, 300, 390  # cycles
READ_BYTES, WRITE_BYTES = 1e6 / (2 * 2000 * 2.613), 1e6 / (2 * 2000 * 3.2883)  # a cycle and core
STAGES = 5  # that wait for one another
_BF16, _INT8 = 2, 1  # bytes

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
    measured: dict[str, Any] = {"case": case, "floor_us": floor_us(case), **_simulate("ours", case, ours)}
    measured["ours_over_floor"] = measured["ours_us"] / measured["floor_us"]
    if theirs is not None:
        measured.update(_simulate("peer", case, theirs))
        measured["ours_over_peer"] = measured["ours_us"] / measured["peer_us"]
    return measured


def floor_us(case: str) -> float:
    """A time that no schedule beats, simulated µs; see the module's docstring."""
    shape = shape_of(case)
    weights = shape.d * shape.q_lora * _BF16 + shape.q_lora * shape.q_width * _INT8
    latencies = STAGES * (READ_LATENCY + WRITE_LATENCY) + (STAGES - 1) * EDGE
    return (latencies + weights / (CUBES * READ_BYTES)) / CYCLES_PER_US


def stage_floors_us(case: str) -> dict[str, float]:
    """Stage → a time that no schedule of it beats, simulated µs, from its first copy in to its last copy out."""
    shape = shape_of(case)
    tokens, latent = shape.t * shape.d * _BF16, shape.t * shape.q_lora
    query = shape.t * shape.q_width * _BF16
    return {
        "attn-norm": _stage_us(tokens, tokens, VECTORS),
        "wq_a": _stage_us(tokens + shape.d * shape.q_lora * _BF16, latent * _BF16, CUBES),
        "wkv": _stage_us(tokens + shape.d * shape.head_dim * _BF16, shape.t * shape.head_dim * _BF16, CUBES),
        "qr-norm": _stage_us(latent * _BF16, latent * _INT8, VECTORS),
        "kv-norm-rope": _stage_us(shape.t * shape.head_dim * _BF16, shape.t * shape.head_dim * _BF16, VECTORS),
        "q-proj": _stage_us(latent * _INT8 + shape.q_lora * shape.q_width * _INT8, query, CUBES),
        "heads": _stage_us(query, query, VECTORS),
    }


def _stage_us(read: int, written: int, cores: int) -> float:
    """Copies in and copies out run side by side, on pipes of their own."""
    moving = max(read / (cores * READ_BYTES), written / (cores * WRITE_BYTES))
    return (READ_LATENCY + moving + WRITE_LATENCY) / CYCLES_PER_US


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
    floors = stage_floors_us(case) if who == "ours" else {}
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
