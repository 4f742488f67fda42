from __future__ import annotations

from pathlib import Path

import pytest

from farm.execution.observer import Observer
from farm.execution.progress_file import ProgressFile
from farm.model import progress
from farm.model.progress import NAME, Progress
from farm.model.run import DeviceRecord
from tests.farm import samples


class Heard(Observer):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in Observer.__dict__ and not name.startswith("__"):
            return lambda *_, **__: self.calls.append(name)
        return super().__getattribute__(name)


def test_everything_is_handed_on(tmp_path: Path) -> None:
    heard, device = Heard(), samples.device(0)
    told = ProgressFile(tmp_path, heard)
    told.preparing("starting Ray")
    told.waiting([], 1.0)
    told.locked(device.id, "locked by ann")
    told.began("r1", [device], 9)
    told.built(samples.build())
    told.working(device, 0, "run")
    told.measured(samples.trial(device.id), kept=True)
    told.extended(3, "more")
    told.judged([])

    calls = ["preparing", "waiting", "locked", "began", "built", "working", "measured", "extended", "judged"]
    assert heard.calls == calls
    assert sorted(calls) == sorted(name for name in Observer.__dict__ if not name.startswith("_"))


def test_another_process_reads_what_each_device_does(tmp_path: Path) -> None:
    devices = [samples.device(index) for index in range(2)]
    told = ProgressFile(tmp_path, Observer())
    assert progress.read(tmp_path) is None
    told.began("r1", devices, 9)
    assert progress.read(tmp_path) == Progress(extra=0, stages={device.id: "build" for device in devices})

    told.working(devices[1], 1, "golden")  # too soon after the last time
    told.extended(3, "more")

    found = progress.read(tmp_path)
    assert found == Progress(extra=3, stages={devices[0].id: "build", devices[1].id: "golden"})


@pytest.mark.parametrize("content", ["", "{", '{"extra": "x", "stages": {}}', '{"other": 1}'])
def test_a_file_that_is_none_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)

    assert progress.read(tmp_path) is None


def test_a_directory_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    began: list[str] = []

    class Inner(Observer):
        def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
            began.append(run_id)

    ProgressFile(tmp_path / "file", Inner()).began("r1", [samples.device(0)], 9)

    assert began == ["r1"] and (tmp_path / "file").read_text() == ""
