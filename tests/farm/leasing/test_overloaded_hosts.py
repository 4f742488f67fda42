"""A host of a real Ray that does not start its workers in time is said so, and nothing is held against its devices."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from farm.cluster import connection
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import RunRequest
from farm.process import start_limit
from farm.process.start_limit import HostOverloadedError
from farm.store.run_store import Store
from kernel.platforms.protocol import Probe
from tests.fakes import platforms
from tests.farm.conftest import DEVICES
from tests.farm.validated import run
from tests.waiting import came_true

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home", "local_ray")]


class StartsTooLate(platforms.Honest):
    """Its canary is still running when the limit is over."""

    def probe(self, device: int, directory: Path) -> Probe:
        threading.Event().wait(300.0)
        return super().probe(device, directory)


def test_a_host_that_does_not_start_workers_in_time_is_overloaded_and_its_devices_are_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(start_limit.VARIABLE, "2")
    request = RunRequest(
        kernel="qkv_proj_rope", cases=["tiny"], platform="fake", devices=2, repeats=1, input_set="documented", seed=0
    )
    budgets = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}

    with pytest.raises(HostOverloadedError) as refused:
        run(request, SessionOptions(out=tmp_path, platform=StartsTooLate, budgets=budgets))

    host = next(iter(connection.nodes().values())).name
    assert str(refused.value).startswith(f"host {host} is ")
    assert "did not start within" in str(refused.value)
    assert "FARM_START_LIMIT (2 s on an idle host)" in str(refused.value)
    with Store.open(os.environ["FARM_STORE"]) as store:
        assert store.health("fake") == {}
    assert came_true(lambda: connection.free_count() == DEVICES, 30.0)
