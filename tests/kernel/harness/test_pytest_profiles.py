"""The shipped profiles of pytest suites, held to what those suites print and report on a machine without an NPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import HarnessError
from kernel.harness import results
from kernel.harness.ending import require_measured
from kernel.harness.process_tree import ProcessExit
from kernel.harness.profiles import find
from kernel.harness.reading import Reader

DATA = Path(__file__).parents[2] / "data"
RECORDED = {"flaggems": DATA / "flaggems-aug-2026", "triton-ascend": DATA / "triton-ascend-apr-2026"}
ENDS = {
    ("flaggems", "no_triton"): "No module named 'triton'",
    ("flaggems", "no_device"): "No device were detected on your machine",
    ("flaggems", "no_torch_npu"): "module 'torch' has no attribute 'npu'",
    ("triton-ascend", "no_triton"): "No module named 'triton'",
    ("triton-ascend", "no_torch_npu"): "No module named 'torch_npu'",
}


@pytest.mark.parametrize(("name", "run"), ENDS)
def test_a_machine_without_a_device_or_its_packages_is_never_the_files_fault(name: str, run: str) -> None:
    profile, recorded = find(name), RECORDED[name] / run
    reader = Reader(profile)
    reader.feed((recorded / "output.txt").read_bytes())
    seen = reader.close()
    code = int((recorded / "exit").read_text())
    if (recorded / profile.results.file).exists():
        seen.claims.update(results.claims(recorded, profile.results, code))

    with pytest.raises(HarnessError) as raised:
        require_measured(profile, seen, ProcessExit(code), (recorded / "output.txt").read_text())

    assert raised.value.kind == "platform-unavailable"
    assert ENDS[name, run] in str(raised.value)


def test_every_recording_is_judged() -> None:
    assert {(name, path.name) for name, runs in RECORDED.items() for path in runs.iterdir() if path.is_dir()} == set(
        ENDS
    )
