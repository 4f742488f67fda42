"""The files for machines without Kubernetes: `ray up`'s configuration and the systemd units."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from jobs.sandbox.bubblewrap import View, command

DEPLOY = Path(__file__).parents[3] / "ci" / "deploy"
UNITS = sorted(path for path in (DEPLOY / "systemd").iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
EXPOSURE = 25  # of 100; `systemd-analyze security` calls up to 50 "OK"
# These start bubblewrap, which needs namespaces and mounts, and have a cgroup subtree.
SANDBOXING = ("npu-farm-node.service", "npu-farm-serve.service")
SANDBOXING_EXPOSURE = 32

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def ray_up() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "ray-up.yaml").read_text())
    return found


def problems(config: dict[str, Any]) -> list[str]:
    """What Ray's own schema has against `config`."""
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    return [error.message for error in Draft7Validator(schema).iter_errors(config)]


def verify(directory: Path, text: str, name: str) -> str:
    """What systemd has against a unit, on a machine where its programs and its user are missing."""
    runnable = re.sub(r"/opt/\S+/bin/\w+", "/bin/true", text)
    (directory / name).write_text(re.sub(r"^(User|Group)=.*$", r"\1=root", runnable, flags=re.MULTILINE))
    for other in UNITS:  # a timer needs its service
        if other.name != name:
            (directory / other.name).write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(directory / name)], capture_output=True, text=True, check=False
    )
    return "\n".join(line for line in done.stderr.splitlines() if str(directory) in line or name in line)


def test_ray_up_fits_ray_s_schema() -> None:
    assert problems(ray_up()) == []


@pytest.mark.parametrize("key", ["head_start_ray_commands", "provider", "file_mounts"])
def test_a_misspelt_key_does_not_fit(key: str) -> None:
    config = ray_up()
    config[f"{key}x"] = config.pop(key)

    assert problems(config) != []


def test_ray_up_starts_every_node_with_the_token() -> None:
    config = ray_up()

    assert "~/.ray/auth_token" in config["file_mounts"]
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in config[key][-1]


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    assert verify(tmp_path, unit.read_text(), unit.name) == ""


@needs_systemd
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("npu-farm-node.service", "NoNewPrivileges=", "NoNewPriviledges="),
        ("npu-farm-sweep.timer", "OnCalendar=*-*-* 01:00:00", "OnCalendar=at night"),
    ],
)
def test_systemd_finds_a_mistake(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / name).read_text()
    assert right in text

    assert verify(tmp_path, text.replace(right, wrong), name) != ""


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_confined(unit: Path) -> None:
    most = SANDBOXING_EXPOSURE if unit.name in SANDBOXING else EXPOSURE
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("name", SANDBOXING)
def test_a_service_that_confines_programs_lets_bubblewrap_work(name: str) -> None:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    wanted = {part.split("-")[3] for part in command(["true"], View()) if part.startswith("--unshare-")} | {"user"}

    assert wanted | {"mnt"} <= set(given["RestrictNamespaces"].split())
    assert "@mount" in given["SystemCallFilter"].split()
    # Both mount something over a part of /proc, and then the kernel refuses a user namespace a /proc of its own.
    assert (given["ProtectKernelTunables"], given["ProtectKernelLogs"]) == ("no", "no")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_talks_to_its_own_machine_only_until_told_otherwise(unit: Path) -> None:
    lines = unit.read_text().splitlines()

    assert "IPAddressDeny=any" in lines
    assert [line for line in lines if line.startswith("IPAddressAllow=")] == ["IPAddressAllow=localhost"]


def test_every_variable_of_the_units_is_in_the_example() -> None:
    used = {name for unit in SERVICES for name in re.findall(r"\$\{?(FARM_\w+)", unit.read_text())}
    given = dict(
        line.split("=", 1)
        for line in (DEPLOY / "systemd" / "farm.env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )

    assert used <= given.keys()
    assert (given["RAY_AUTH_MODE"], given["FARM_NODE_IP"]) == ("token", "127.0.0.1")


@pytest.mark.parametrize("name", SANDBOXING)
def test_a_service_that_confines_programs_may_bound_them_by_cgroups(name: str) -> None:
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    assert set(given["Delegate"].split()) == {"cpu", "memory", "pids"}
    assert given["ProtectControlGroups"] == "no"  # read-only, no group can be made in it
