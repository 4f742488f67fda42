"""Every pin that ships has a wheel for Linux on x86-64 and on aarch64 and each Python, as the lock has them."""

from __future__ import annotations

import json
import sys

import pytest
from packaging.tags import Tag, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from tools import closure, wheels
from tools.set_up import SUPPORTED, WITHOUT_PYPTO

LOCK = json.loads(wheels.WHEELS.read_text())
NEWEST_GLIBC = 36  # of Debian 12, the oldest system that is tried


def runnable(version: tuple[int, int], machine: str) -> set[Tag]:
    """The tags of wheels that a Python takes on a Linux with that glibc."""
    places = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 4, -1)]
    places += [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1")]
    own = set(cpython_tags(version, abis=[f"cp{version[0]}{version[1]}"], platforms=[*places, "any"]))
    pure = {Tag(f"py{python}", "none", place) for python in ("3", "2", f"3{version[1]}") for place in (*places, "any")}
    return own | pure


@pytest.mark.parametrize("machine", wheels.MACHINES)
@pytest.mark.parametrize("version", [*SUPPORTED, *WITHOUT_PYPTO])
def test_each_pin_has_a_wheel_that_runs_there(version: tuple[int, int], machine: str) -> None:
    files = LOCK[f"{version[0]}.{version[1]}"][machine]
    pinned, usable = wheels.pins(version), runnable(version, machine)
    for name, file in files.items():
        found, release, _, tags = parse_wheel_filename(file)
        assert (found, release.public) == (canonicalize_name(name), pinned[name]), file
        assert tags & usable, f"{file} does not run on {machine}"


@pytest.mark.parametrize("version", [*SUPPORTED, *WITHOUT_PYPTO])
def test_both_machines_get_the_same_packages(version: tuple[int, int]) -> None:
    both = LOCK[f"{version[0]}.{version[1]}"]

    assert both["x86_64"].keys() == both["aarch64"].keys()


def test_nothing_that_ships_is_left_out() -> None:
    version = sys.version_info[:2]
    shipped = closure.base().union(*(closure.extra(each) for each in closure.EXTRAS))

    assert shipped <= set(LOCK[f"{version[0]}.{version[1]}"]["aarch64"])
    assert {"pypto", "torch", "ray", "fastapi"} <= shipped


def test_a_python_without_pypto_gets_all_the_rest() -> None:
    newest, without = LOCK["3.12"]["x86_64"], LOCK["3.13"]["x86_64"]

    assert "pypto" not in without
    assert {"torch", "ray", "fastapi", "optuna", "pytest", "psycopg", "apprise"} <= newest.keys() & without.keys()


def test_a_wheel_of_another_machine_does_not_run() -> None:
    tags = parse_wheel_filename("pypto-0.2.0-cp311-cp311-manylinux_2_28_x86_64.whl")[3]

    assert tags & runnable((3, 11), "x86_64")
    assert not tags & runnable((3, 11), "aarch64") and not tags & runnable((3, 12), "x86_64")
