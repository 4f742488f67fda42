"""What a confined program of `a2a3` is given of the machine, by Ascend's published lists; no NPU is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.platforms import ascend_container
from kernel.platforms.a2a3 import A2A3
from kernel.platforms.device_limits import DeviceLimits
from kernel.platforms.protocol import Confinable


def names(paths: tuple[Path, ...]) -> list[str]:
    return [str(path) for path in paths]


def test_a_device_has_its_own_node_and_those_of_all_devices() -> None:
    platform = A2A3()
    assert isinstance(platform, Confinable)

    assert names(platform.needs(3).devices) == [
        "/dev/davinci3",
        "/dev/davinci_manager",
        "/dev/devmm_svm",
        "/dev/hisi_hdc",
    ]


@pytest.mark.parametrize(("visible", "device"), [("5,6", 5), (" 7 ", 7), ("", 0), ("auto", 0)])
def test_a_build_gets_the_device_its_worker_holds(monkeypatch: pytest.MonkeyPatch, visible: str, device: int) -> None:
    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", visible)

    needed = A2A3().needs(None)

    assert names(needed.devices)[0] == f"/dev/davinci{device}"
    assert needed.variables["ASCEND_RT_VISIBLE_DEVICES"] == str(device)


def test_nothing_of_the_environment_goes_along_but_what_finds_the_toolkit() -> None:
    limits = DeviceLimits(1.0, 5.0, 9.0).variables()
    environment = {
        "ASCEND_HOME_PATH": "/usr/local/Ascend/latest",
        "LD_LIBRARY_PATH": "/usr/local/Ascend/driver/lib64",
        "FARM_TOKEN": "secret",
        "ASCEND_RT_VISIBLE_DEVICES": "0,1,2,3",
        **limits,
    }

    assert ascend_container.needs(2, environment).variables == {
        "ASCEND_HOME_PATH": "/usr/local/Ascend/latest",
        "LD_LIBRARY_PATH": "/usr/local/Ascend/driver/lib64",
        "ASCEND_RT_VISIBLE_DEVICES": "2",
        **limits,
    }


def test_a_toolkit_outside_the_system_is_named_by_both_its_names(tmp_path: Path) -> None:
    real, latest = tmp_path / "8.0", tmp_path / "latest"
    (real / "python").mkdir(parents=True)
    latest.symlink_to(real)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "sys_version.conf").write_text("24.1")
    python = f"/home/me/private:{latest / 'python'}:"

    needed = ascend_container.needs(0, {"ASCEND_HOME_PATH": str(latest), "PYTHONPATH": python}, root=tmp_path)

    assert needed.read == (latest, real, tmp_path / "etc" / "sys_version.conf")
    assert needed.python == (latest / "python",)


def test_a_toolkit_of_the_system_and_files_that_are_not_there_are_not_named(tmp_path: Path) -> None:
    needed = ascend_container.needs(0, {"ASCEND_HOME_PATH": "/usr/local"}, root=tmp_path)

    assert needed.read == ()
