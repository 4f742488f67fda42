"""The shipped profile of a pytest suite, held to what that suite prints on a machine without an NPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import HarnessError
from kernel.harness.ending import require_measured
from kernel.harness.process_tree import ProcessExit
from kernel.harness.profiles import find
from kernel.harness.reading import Reader

RUNS = Path(__file__).parents[2] / "data" / "flaggems-aug-2026"
ENDS = {
    "no_triton": "No module named 'triton'",
    "no_device": "No device were detected on your machine",
    "no_torch_npu": "module 'torch' has no attribute 'npu'",
}


@pytest.mark.parametrize("run", ENDS)
def test_a_machine_without_a_device_or_its_packages_is_never_the_files_fault(run: str) -> None:
    profile = find("flaggems")
    reader = Reader(profile)
    reader.feed((RUNS / run / "output.txt").read_bytes())
    code = int((RUNS / run / "exit").read_text())

    with pytest.raises(HarnessError) as raised:
        require_measured(profile, reader.close(), ProcessExit(code), (RUNS / run / "output.txt").read_text())

    assert raised.value.kind == "platform-unavailable"
    assert ENDS[run] in str(raised.value)


def test_every_recording_is_judged() -> None:
    assert {path.name for path in RUNS.iterdir() if path.is_dir()} == set(ENDS)
