"""A kernel that is not the installation's is executed in a process of its own, and its outputs are looked at here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.kernel_process.execution import KernelExecution
from kernel.errors import KernelLayerError, KernelLoadError, TensorError, UnwrittenOutputError
from tests.fakes.installed import install
from tests.fakes.quick_platform import QuickPlatform
from tests.fakes.small_kernel import SmallKernel
from tests.jobs.kernel_process.test_described import foreign

INPUTS = SmallKernel().inputs("small", "integers", 0)


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> QuickPlatform:
    install(tmp_path / "packages", monkeypatch, {"quick": "tests.fakes.quick_platform:QuickPlatform"})
    return QuickPlatform()


def executed(directory: Path, quick: QuickPlatform, body: str = "") -> float | None:
    name = foreign(directory, body)
    save_file(INPUTS, directory / "in.safetensors")
    execution = KernelExecution(name, SmallKernel(), "small", {}, directory / "cache", 120.0)
    return execution.on_file(quick, directory / "in.safetensors", directory / "out.safetensors")


def test_it_leaves_its_outputs_and_its_time(tmp_path: Path, quick: QuickPlatform) -> None:
    assert executed(tmp_path, quick) == 6.5

    golden = SmallKernel().golden("small", INPUTS)
    assert all(torch.equal(golden[name], found) for name, found in load_file(tmp_path / "out.safetensors").items())


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (
            "def golden(self, case, inputs): os._exit(0)",
            KernelLoadError,
            "ended with exit code 0 while it was executed",
        ),
        ("def golden(self, case, inputs): return {}", UnwrittenOutputError, "'y'"),
        ("def golden(self, case, inputs): raise ValueError('no rows')", KernelLoadError, "ValueError: no rows"),
    ],
)
def test_one_that_leaves_no_outputs_is_refused_in_one_line(
    body: str, kind: type[KernelLayerError], words: str, tmp_path: Path, quick: QuickPlatform
) -> None:
    with pytest.raises(kind) as refused:
        executed(tmp_path, quick, body)

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("*out.safetensors*"))


def test_inputs_are_looked_at_before_its_process_is_started(tmp_path: Path, quick: QuickPlatform) -> None:
    name = foreign(tmp_path)
    save_file({"x": INPUTS["x"]}, tmp_path / "in.safetensors")
    execution = KernelExecution(name, SmallKernel(), "small", {}, tmp_path / "cache", 0.0)

    with pytest.raises(TensorError, match="lacks w"):
        execution.on_file(quick, tmp_path / "in.safetensors", tmp_path / "out.safetensors")
