"""The shipped profile of PyPTO's own examples, held to what they print."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kernel.errors import HarnessError
from kernel.harness import head
from kernel.harness.ending import require_measured
from kernel.harness.kernel import HarnessCall, HarnessKernel
from kernel.harness.process_tree import ProcessExit
from kernel.harness.profiles import find
from kernel.harness.reading import Reader, Seen
from kernel.platforms.command import Command
from kernel.platforms.protocol import LOG_NAME

RUNS = Path(__file__).parents[2] / "data" / "pypto-examples-may-2026"
PASSED = {"hello_world": 1, "basic_ops": 6, "symbolic_scalar": 4}  # run → its pass lines
NOT_PASSED = {
    "hello_world_tile_of_two_axes": ("compile", "Errcode: FFFFFF!"),
    "hello_world_undefined_name": ("compile", "NameError: name 'z' is not defined"),
    "hello_world_no_torch_npu": ("platform-unavailable", "No module named 'torch_npu'"),
    "hello_world_no_device": ("nothing-measured", "exit code 0 without a pass line"),
}
EXAMPLE = """
import argparse
import pypto
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--run_mode", choices=["npu", "sim"], default="npu")
mode = pypto.RunMode.SIM if parser.parse_args().run_mode == "sim" else pypto.RunMode.NPU
SHAPE = (1, 4, 1, 64)


@pypto.frontend.jit(runtime_options={"run_mode": mode})
def double(x: pypto.Tensor(SHAPE, pypto.DT_FP32), y: pypto.Tensor(SHAPE, pypto.DT_FP32)):
    pypto.set_vec_tile_shapes(1, 4, 1, 64)
    y[:] = x + x


double(torch.rand(SHAPE), torch.empty(SHAPE))
print("✓ Doubling passed")
"""


def seen(run: str) -> Seen:
    reader = Reader(find("pypto-examples"))
    reader.feed((RUNS / run / "output.txt").read_bytes())
    return reader.close()


def judge(run: str) -> None:
    """Raise what the recorded run is, where it is no measurement."""
    code = int((RUNS / run / "exit").read_text())
    require_measured(find("pypto-examples"), seen(run), ProcessExit(code), (RUNS / run / "output.txt").read_text())


def test_every_recorded_run_is_a_row() -> None:
    assert {*PASSED, *NOT_PASSED} == {path.name for path in RUNS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("run", PASSED)
def test_an_example_passes_by_its_lines(run: str) -> None:
    judge(run)

    assert seen(run).passes == PASSED[run]


@pytest.mark.parametrize("run", NOT_PASSED)
def test_an_example_that_did_not_run_has_not_passed(run: str) -> None:
    kind, words = NOT_PASSED[run]

    with pytest.raises(HarnessError) as raised:
        judge(run)

    assert (raised.value.kind, words in str(raised.value)) == (kind, True)


@pytest.mark.sim
def test_a_file_like_its_examples_is_compiled_and_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    file = tmp_path / "repository" / "examples" / "double.py"
    file.parent.mkdir(parents=True)
    file.write_text(EXAMPLE)
    profile, root = find("pypto-examples"), tmp_path / "repository"
    platform = Command(profile, "a2a3sim", root)

    assert head.read(file, profile, "a2a3sim").runnable
    kernel = HarnessKernel(profile, root, ("examples/double.py",))
    measured = platform.run(kernel, "examples/double.py", HarnessCall(), {}, {}, 0, tmp_path / "trial")

    printed = (tmp_path / "trial" / LOG_NAME).read_text()
    assert "AICore End-to-End Time:" in printed
    assert measured.claims == {}, "no number is compared on the simulator"
