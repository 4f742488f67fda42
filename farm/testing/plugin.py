"""The pytest plugin: fixtures that lease devices, `@pytest.mark.farm`, and `--farm-address`, `--farm-platform`.

pytest loads this wherever the farm is installed, so it imports neither Ray nor torch until a test asks for a device.
Under pytest-xdist every worker is a process of its own with its own lease, on one local cluster that the first worker
in need starts and the controller ends.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from farm.testing.assertions import assert_deterministic, assert_matches_golden

if TYPE_CHECKING:
    from farm.testing.device_pool import TestDevice, TestDevicePool
    from jobs.records import TrialRecord
    from kernel.spec import Kernel

__all__ = ["DEVICE_PROPERTY", "assert_deterministic", "assert_matches_golden"]

_SHARED = "FARM_TESTS_CLUSTER"  # the directory of the record of the workers' cluster; for tests that lease, no others
DEVICE_PROPERTY = "farm.device"  # of a JUnit test case


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--farm-address`, `--farm-platform`, `--farm-wait`."""
    group = parser.getgroup("farm", "NPU kernel farm")
    group.addoption("--farm-address", metavar="HOST:PORT", help="Ray cluster with the devices. Default: a local one.")
    group.addoption("--farm-platform", default="a2a3sim", help="How kernels are built and run. Default: a2a3sim.")
    group.addoption(
        "--farm-wait",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="How long a test waits for devices others hold. Default: 600.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; the controller of several workers prepares where their common cluster is written down."""
    config.addinivalue_line("markers", "farm(devices=1, case=None): how many devices the test leases, and its case")
    if not _is_worker(config) and config.getoption("numprocesses", None) and not config.getoption("farm_address"):
        directory = tempfile.mkdtemp(prefix="farm-tests-")
        os.environ[_SHARED] = directory  # the workers inherit it
        config.add_cleanup(lambda: _end_shared(Path(directory)))


def _end_shared(directory: Path) -> None:
    """End the workers' cluster, if one of them started it."""
    if (directory / "cluster.json").exists():
        from farm.testing.device_pool import stop_shared

        stop_shared(directory)
    del os.environ[_SHARED]
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _farm_bench(request: pytest.FixtureRequest) -> Iterator[TestDevicePool]:
    for package in ("ray", "torch"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(
                f"{package} is not installed, and devices are leased through it; install the farm with what it needs"
            )
    from farm.cluster.connection import simulated_devices
    from farm.testing.device_pool import TestDevicePool, shared_address

    config: Any = request.config  # xdist adds `workerinput`
    address = config.getoption("farm_address")
    if address is None and _is_worker(config) and _SHARED in os.environ:
        address = shared_address(Path(os.environ[_SHARED]), max(simulated_devices(), config.workerinput["workercount"]))
    with TestDevicePool(config.getoption("farm_platform"), address, config.getoption("farm_wait")) as bench:
        yield bench


@pytest.fixture
def farm_devices(_farm_bench: TestDevicePool, request: pytest.FixtureRequest) -> list[TestDevice]:
    """As many devices as the test's mark says, one without a mark, exclusively and at once."""
    count = _marked(request.node, "devices", 1)
    devices = _farm_bench.hold(count)
    for device in devices:
        request.node.user_properties.append((DEVICE_PROPERTY, device.id))
    return devices


@pytest.fixture
def farm_device(farm_devices: list[TestDevice]) -> TestDevice:
    """An exclusive lease of one device, the first where the mark asks for more. The next test may get the same."""
    return farm_devices[0]


@pytest.fixture
def farm_trial(
    _farm_bench: TestDevicePool, farm_devices: list[TestDevice], request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., TrialRecord]:
    """A function that runs a kernel once on the leased device and returns the trial's record.

    `farm_trial(kernel, case=None, *, seed=0, input_set=None, tuning={}, on=None)`: `kernel` is an object, a name or a
    path; `case` defaults to the mark's, then to the kernel's; `on` is one of `farm_devices`. A device's fault moves the
    trial to another device, and ends the test as an error where that does not help. A kernel's failure is in the
    record.
    """
    from farm.testing.device_pool import request_of

    repeats = 0

    def trial(
        kernel: str | Kernel,
        case: str | None = None,
        *,
        seed: int = 0,
        input_set: str | None = None,
        tuning: Mapping[str, str] | None = None,
        on: TestDevice | None = None,
    ) -> TrialRecord:
        nonlocal repeats
        wanted = case or _marked(request.node, "case", None)
        platform = request.config.getoption("farm_platform")
        asked = request_of(kernel, platform, wanted, input_set, seed, tuning or {})
        record = _farm_bench.trial(asked, (on or farm_devices[0]).slot, repeats, tmp_path)
        repeats += 1
        if (DEVICE_PROPERTY, record.device) not in request.node.user_properties:
            request.node.user_properties.append((DEVICE_PROPERTY, record.device))  # it moved
        return record

    return trial


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A fault of the farm or a device is an error, not a failure: pytest calls so what goes wrong outside the call."""
    report = yield
    if call.when == "call" and call.excinfo is not None and "farm_devices" in getattr(item, "fixturenames", ()):
        from farm.errors import InfrastructureError

        if isinstance(call.excinfo.value, InfrastructureError):
            report.when = "setup"
    return report


def _is_worker(config: Any) -> bool:
    return hasattr(config, "workerinput")


def _marked(item: pytest.Item, key: str, default: Any) -> Any:
    """The value of `key` in the test's `farm` mark. Raises `pytest.UsageError` for an argument it does not have."""
    mark = item.get_closest_marker("farm")
    if mark is None:
        return default
    unknown = sorted(set(mark.kwargs) - {"devices", "case"})
    if unknown or mark.args:
        raise pytest.UsageError(f"@pytest.mark.farm takes devices= and case=, not {', '.join(unknown) or mark.args}")
    devices = mark.kwargs.get("devices", 1)
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise pytest.UsageError(f"@pytest.mark.farm(devices={devices!r}): use a number of 1 or more")
    return mark.kwargs.get(key, default)
