from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def farm_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The service keeps its sessions' key there; that of whoever runs the tests is none of theirs."""
    home = tmp_path / "home"
    monkeypatch.setenv("FARM_HOME", str(home))
    return home
