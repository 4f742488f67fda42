"""Whole runs on a real Ray: each device has a process of its own, and one that is lost costs no more than itself.

What a run makes of its measurements is in `test_run_verdicts.py`, on devices of the test's process.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.cluster import connection
from farm.errors import CapacityError
from farm.execution.session import SessionOptions
from farm.leasing.device_lease import PlatformFactory
from farm.model.run import GateStatus, RunRequest, Verdict
from jobs.records import TrialStatus
from tests.fakes import platforms
from tests.farm.conftest import DEVICES
from tests.farm.validated import run, validate
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined_ray", "at_home")]


def test_a_clean_run_passes_with_all_its_evidence_and_gives_every_device_back(tmp_path: Path) -> None:
    record = validate(platforms.Honest, tmp_path, repeats=2)

    assert (record.verdict, len(record.trials)) == (Verdict.PASSED, 6)
    assert {judged.status for judged in record.gates} == {GateStatus.PASSED}
    assert len({(device.node_id, device.index) for device in record.devices}) == 3
    assert len({device.pid for device in record.devices}) == 3
    assert record.median_us["tiny"].overall == platforms.WALL_US
    assert set(record.trials[0].outputs) == {"q", "kv", "qr", "qr_scale"}
    written = {path.name for path in (tmp_path / record.run_id).iterdir()}
    assert {"report.json", "junit.xml", "report.md", "traces", "logs"} <= written
    assert len(list((tmp_path / record.run_id / "traces").glob("*.json.gz"))) == 6
    until(lambda: connection.free_count() == DEVICES, what="the return of every device")


def test_a_kernel_named_by_its_file_reaches_every_worker(tmp_path: Path) -> None:
    (tmp_path / "of_mine.py").write_text("from tests.fakes.small_kernel import SmallKernel\n")
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "from of_mine import SmallKernel\n"
        "class Mine(SmallKernel):\n"
        "    def sources(self): return (Path(__file__),)\n"
        "    def budgets(self): return Path(__file__).with_name('budgets.toml')\n"
        "KERNEL = Mine()\n"
    )
    (tmp_path / "budgets.toml").write_text("[fake.small]\nceiling_us = 545.0\nsource = 'a sheet'\n")
    request = RunRequest(
        kernel=f"{tmp_path / 'mine.py'}:KERNEL",
        cases=["small"],
        platform="fake",
        devices=2,
        repeats=1,
        input_set="integers",
        seed=0,
    )

    record = run(request, SessionOptions(out=tmp_path / "runs", platform=platforms.Honest))

    assert (record.verdict, len(record.trials)) == (Verdict.PASSED, 2), record.reason
    assert record.kernel == request.kernel


@pytest.mark.parametrize(
    ("platform", "kind"), [(platforms.DiesOnOneDevice, "worker-died"), (platforms.HangsOnOneDevice, "hang")]
)
def test_a_worker_that_is_lost_moves_to_another_device_and_costs_no_verdict(
    tmp_path: Path, platform: PlatformFactory, kind: str
) -> None:
    record = validate(platform, tmp_path, devices=2, repeats=1, timeout_s=10)

    indices = {device.id: device.index for device in record.devices}
    lost = [trial for trial in record.trials if trial.status is TrialStatus.ERRORED]
    measured = [trial for trial in record.trials if trial.status is TrialStatus.OK]
    assert record.verdict is Verdict.PASSED, record.reason
    assert [(indices[each.device], each.attempt, each.failure and each.failure.kind) for each in lost] == [(1, 0, kind)]
    assert {(indices[each.device], each.attempt) for each in measured} == {(0, 0), (2, 1)}


def test_more_devices_than_there_are_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="5 devices asked for, the cluster has 4"):
        validate(platforms.Honest, tmp_path / "out", devices=5)

    assert not (tmp_path / "out").exists()
