from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def farm_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service keeps its sessions' key there; that of whoever runs the tests is none of theirs."""
    home = tmp_path / "home"
    monkeypatch.setenv("FARM_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recorded farm leaves."""
    from tests.fakes import recorded_runs  # the reports of sweeps, which few tests need

    return recorded_runs.record(tmp_path_factory.mktemp("recorded") / "evidence")
