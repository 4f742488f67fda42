"""A commit that halves the recorded cycles of PyPTO's cost model, as a dozen lines in its program can."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernel.qkv_proj_rope
from jobs.build import build
from jobs.records import BuildRecord, Fault, TrialRequest
from jobs.sandbox import bubblewrap
from jobs.sandbox.commit_kernel import ForeignKernel, Origin
from jobs.sandbox.confined_platform import Confined
from jobs.sandbox.limits import SandboxLimits
from jobs.sandbox.source_tree import Tree
from kernel.platforms.a2a3sim import A2A3Sim
from kernel.registry import find_kernel, kernel_entry

pytestmark = [
    pytest.mark.sim,
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks),
]

NAME = "qkv_proj_rope"
PROGRAM = Path(kernel.qkv_proj_rope.__file__).parent
HALVES = """

def _halve():
    import json
    from kernel.platforms import pypto_driver
    honest = pypto_driver.read_compiled
    def halved(artefacts, *more):
        for log in artefacts.glob("CostModelSimulationOutput/_simulate.swim.json"):
            cores = json.loads(log.read_text())
            for task in (task for core in cores for task in core["tasks"]):
                task["execStart"] //= 2
                task["execEnd"] //= 2
            log.write_text(json.dumps(cores))
        return honest(artefacts, *more)
    pypto_driver.read_compiled = halved

_halve()
"""


def built(place: Path, cache: Path, more: str = "") -> BuildRecord:
    """A build of the reference kernel's program with `more` at its end."""
    files = {
        f"kernel/{NAME}/{path.relative_to(PROGRAM)}": path.read_bytes()
        for path in PROGRAM.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files[f"kernel/{NAME}/__init__.py"] += more.encode()
    tree = Tree.of(f"kernel/{NAME}", files)
    top = tree.unpack(place)
    kernel = ForeignKernel(find_kernel(NAME), tuple(sorted(top.rglob("*.py"))))
    origin = Origin.of(kernel_entry(NAME))
    platform = Confined(A2A3Sim(), origin, top, tree.place, SandboxLimits(), require_sandbox=True)
    request = TrialRequest(kernel=NAME, case="tiny", platform="a2a3sim", input_set="documented")
    return build(request, platform, cache, kernel=kernel)


def test_halved_cycles_are_errored_and_an_honest_program_has_its_time(sim_cache: Path, tmp_path: Path) -> None:
    honest, halved = built(tmp_path, sim_cache), built(tmp_path, sim_cache, HALVES)

    assert honest.failure is None and honest.predicted_us is not None
    assert halved.failure is not None
    assert (halved.failure.fault, halved.failure.kind, halved.predicted_us) == (Fault.FARM, "unproven-time", None)
    assert f"the cost model gives {honest.predicted_us:.2f} µs ({honest.fingerprint[:12]})" in halved.failure.message
