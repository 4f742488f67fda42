"""The devices of one pytest process: leased when a test asks for them, kept for the next test that wants as many.

A device is never asked for while another is held: tests that want two devices would otherwise wait for each other.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from farm import paths
from farm.cluster import connection, local
from farm.errors import InfrastructureError, UsageError
from farm.execution import preflight
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.leasing.device_lease import PlatformFactory
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.model.attempts import MAX_ATTEMPTS
from farm.model.priority import Priority
from farm.model.selection import Selection
from farm.model.timeouts import Timeouts
from farm.process import identity
from farm.store.run_store import Store
from jobs.kernel_process.described import kernel_of
from jobs.records import Failure, TrialRecord, TrialRequest, TrialStatus
from kernel.file_kernels import absolute
from kernel.registry import find_platform
from kernel.spec import Kernel


class DeviceFaultError(InfrastructureError):
    """A trial failed on `MAX_ATTEMPTS` devices, and not because of the kernel."""

    def __init__(self, failure: Failure, device: str) -> None:
        self.failure = failure
        self.device = device
        super().__init__(f"no device could run the trial; the last was {device}: {failure.message}")


@dataclass(frozen=True, slots=True)
class TestDevice:
    """One leased device, as a test sees it."""

    __test__ = False  # its name begins like a test's

    slot: int  # position in the lease; a trial that meets a device fault moves it to another device
    id: str  # "node/index", when the test began
    soc: str


class TestDevicePool:
    """One process's devices. Use as a context manager; everything is given back at its end."""

    __test__ = False  # its name begins like a test's

    def __init__(
        self, platform: str, address: str | None, wait_s: float, factory: PlatformFactory | None = None
    ) -> None:
        """`factory` makes the platform in place of the registered one of that name."""
        self._name = platform
        self._factory = factory or functools.partial(find_platform, platform)
        self._address = address
        self._wait_s = wait_s
        self._open = contextlib.ExitStack()
        self._lease: Lease | None = None
        self._held = 0

    def __enter__(self) -> TestDevicePool:
        """Connect, starting a local cluster where no address is given. Raises what `cluster.connected` raises."""
        self._platform = self._factory()
        preflight.require(self._platform)
        preflight.build_once(self._platform, paths.cache())
        self._store = self._open.enter_context(Store.open(paths.store_url()))
        connected = connection.connected(self._address, simulated=not self._platform.noisy)
        self._head = self._open.enter_context(connected)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what is held."""
        self._give_back()
        self._open.close()

    def hold(self, count: int) -> list[TestDevice]:
        """Exactly `count` devices, until another number is asked for. Raises what `Lease.acquire` raises."""
        if self._lease is None or self._held != count or len(self._lease.slots) != count:
            self._give_back()
            self._lease = self._new_lease()
            self._lease.acquire(count, self._wait_s)
            self._held = count
        devices = [(slot, self._lease.device(slot)) for slot in self._lease.slots]
        return [TestDevice(slot, device.id, device.soc) for slot, device in devices]

    def trial(self, request: TrialRequest, slot: int, repeat: int, directory: Path) -> TrialRecord:
        """Run `request` on the device of `slot`; a fault that is not the kernel's moves the slot to another device.

        Raises `DeviceFaultError` after `MAX_ATTEMPTS` devices.
        """
        assert self._lease is not None, "hold() comes first"
        in_flight = InFlightTrials(self._lease, directory, self._platform.clock, Timeouts().trial_s)
        for attempt in range(MAX_ATTEMPTS):
            label = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.case)
            in_flight.start(slot, label, request, repeat, attempt)
            record = _landed(in_flight).record
            if record.status is TrialStatus.FAILED:
                self._lease.renew(slot)  # a failed compile poisons its process
            if record.status is not TrialStatus.ERRORED:
                return record
            last = record
            if attempt + 1 < MAX_ATTEMPTS:
                self._lease.replace(slot)
        assert last.failure is not None, "an errored trial says why"
        self._give_back()
        raise DeviceFaultError(last.failure, last.device)

    def _new_lease(self) -> Lease:
        return Lease(
            self._factory,
            self._platform.name,
            str(paths.cache()),
            self._store,
            QueueClient(Priority.INTERACTIVE, "tests", shared=self._address is not None),
            Selection(),
            Timeouts().environment() if self._platform.noisy else {},
            self._head,
            witnesses=True,
        )

    def _give_back(self) -> None:
        if self._lease is not None:
            self._lease.release()
        self._lease, self._held = None, 0


def _landed(in_flight: InFlightTrials) -> TrialOutcome:
    while True:
        if outcome := in_flight.poll():
            return outcome[0]


def request_of(
    kernel: str | Kernel,
    platform: str,
    case: str | None,
    input_set: str | None,
    seed: int,
    tuning: Mapping[str, str],
) -> TrialRequest:
    """What a test asks for, checked as `farm run` checks it. Raises what `preflight.check` raises."""
    from farm.model.run import RunRequest

    name = kernel if isinstance(kernel, str) else named(kernel)
    found = kernel_of(name)
    asked = RunRequest(
        kernel=absolute(name),
        cases=[case or found.default_case],
        platform=platform,
        devices=1,
        repeats=1,
        input_set=input_set or next(iter(found.input_sets)),
        seed=seed,
        tuning=dict(tuning),
    )
    preflight.check(asked, found)
    preflight.require_reference(found, asked, paths.cache(), Timeouts().trial_s)
    return TrialRequest(
        kernel=asked.kernel,
        case=asked.cases[0],
        platform=platform,
        tuning=asked.tuning,
        input_set=asked.input_set,
        seed=seed,
    )


def named(kernel: Kernel) -> str:
    """`kernel` as `path/to/mine.py:KERNEL`, so that a worker process finds it. Raises `UsageError`."""
    module = inspect.getmodule(type(kernel))
    for name, value in vars(module).items() if module else ():
        if value is kernel and getattr(module, "__file__", None):
            return f"{module.__file__}:{name}"  # type: ignore[union-attr]
    raise UsageError(
        f"the kernel object '{kernel.name}' is no attribute of the module of its class, so no worker can find it; "
        "pass its name or path/to/mine.py:KERNEL"
    )


def shared_address(directory: Path, devices: int) -> str:
    """The address of the cluster all workers of one suite share; the first worker starts it, on 127.0.0.1.

    From here on this process's local cluster is that one, whose record is in `directory`.
    It ends with their controller, whose children they are: even a killed suite leaves no cluster.
    """
    os.environ[local.DIRECTORY] = str(directory)
    with FileLock(directory / "starting"):
        found = local.read()
        if found is None:
            found = local.up(1, devices, "", _free_port(), lambda node: None, until=identity.of(os.getppid()))
    return found.address


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop_shared(directory: Path) -> None:
    """End the cluster whose record is in `directory`."""
    os.environ[local.DIRECTORY] = str(directory)
    local.down()
