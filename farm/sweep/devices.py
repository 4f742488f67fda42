"""Where a sweep gets its devices: as many of those it wants as are free now, in one lease after the other.

The only module of the sweep that knows how devices are leased.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

from farm import paths
from farm.cluster import connection
from farm.cluster.head_watchdog import HeadWatchdog
from farm.errors import CapacityError, InfrastructureError
from farm.execution.device_probe import probe_devices
from farm.execution.resolved_run import ResolvedRun
from farm.leasing.device_lease import DeviceLease
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.leasing.worker import DeviceWorker
from farm.model.device_health import Health, HealthBook
from farm.model.selection import Selection
from farm.model.timeouts import Timeouts
from farm.process.start_limit import HostOverloadedError
from farm.timestamps import moment, now
from jobs.records import TrialRequest

# A lease that fails names no device by itself; so many in a row that no canary explains are no device's fault.
_MAX_FAILED_LEASES = 3


class SweepDevices:
    """The devices of the connected cluster, for one sweep."""

    def __init__(
        self,
        resolved: ResolvedRun,
        book: HealthBook,
        line: QueueClient,
        timeouts: Timeouts,
        address: str | None,
        head: HeadWatchdog,
    ) -> None:
        self._head = head
        self._address = address
        self._resolved = resolved
        self._platform = resolved.platform.name
        own_limits = resolved.simulated or resolved.self_validating
        self._environment = {} if own_limits else timeouts.environment()
        self._book = book
        self._line = line
        self._failed = 0  # leases in a row
        self.unfit: dict[str, str] = {}  # device → what its canary found; it gets no work in this sweep
        self._overloaded: dict[str, str] = {}  # host → why; its devices get no work in this sweep

    @property
    def real(self) -> bool:
        """Whether the devices are no simulated ones."""
        return not self._resolved.simulated

    def present(self) -> list[str]:
        """Every device of the cluster, the first of each node before the second of any."""
        each = [(index, node.name) for node in connection.nodes().values() for index in range(node.npus)]
        return [f"{node}/{index}" for index, node in sorted(each)]

    def spares(self, planned: Collection[str]) -> list[str]:
        """Devices of the cluster beside those that are `planned`, as far as they may be given work."""
        unusable = {*planned, *self.out_of_service()}
        return [device for device in self.present() if device not in unusable]

    def out_of_service(self) -> dict[str, str]:
        """Devices that get no work now, and why."""
        barred = {device: f"quarantined: {health.why}" for device, health in self.quarantined().items()}
        late = {each: why for each in self.present() if (why := self._overloaded.get(_host(each)))}
        return late | barred | {device: f"its canary failed: {why}" for device, why in self.unfit.items()}

    def quarantined(self) -> dict[str, Health]:
        """The devices that may not be given work."""
        return {device: health for device, health in self._book.health(self._platform).items() if not health.usable}

    @contextlib.contextmanager
    def take(self, wanted: Sequence[str]) -> Iterator[DeviceLease | None]:
        """A lease of as many of `wanted` as can be had now, given back at the end of the block; None for none.

        Devices whose canary fails are put into `unfit`; a host that cannot start workers in time gets no more work.
        Raises `InfrastructureError` where leases keep failing.
        """
        lease = self._acquire(wanted)
        try:
            yield lease
        finally:
            if lease is not None:
                lease.release()

    def probe(self, devices: Sequence[str]) -> None:
        """Run the canary on quarantined devices that are free, which counts towards their way back."""
        present = self.present()
        here = [device for device in devices if device in present]
        if here:
            probe_devices(self._resolved.factory, here, self._book, self._address, 0.0)

    def _acquire(self, wanted: Sequence[str]) -> Lease | None:
        present, barred = set(self.present()), self.quarantined()
        left_out = {*barred, *self.unfit, *(each for each in present if _host(each) in self._overloaded)}
        wanted = [each for each in wanted if each in present and each not in left_out]
        count = min(len(wanted), connection.free_count())
        while count > 0:
            lease = self._lease(wanted)
            begun = now()
            try:
                lease.acquire(count, 0.0)
            except CapacityError:
                # Ray tells how many devices are free, not which: ask for half as many until it has them.
                lease.release()
                count //= 2
            except HostOverloadedError as error:
                lease.release()
                self._overloaded[error.host] = str(error)
                return None
            except InfrastructureError as error:
                lease.release()
                self._explain(wanted, begun, error)
                return None
            except BaseException:
                lease.release()
                raise
            else:
                self._failed = 0
                return lease
        return None

    def _explain(self, wanted: Sequence[str], begun: str, error: InfrastructureError) -> None:
        """Note whose canary failed since `begun`, so that the others can be leased; raise where it is nobody's."""
        book = self._book.health(self._platform)
        failed = {
            device: book[device].why
            for device in wanted
            if device in book and book[device].failed_last and moment(book[device].last_event_at) >= moment(begun)
        }
        self.unfit.update(failed)
        self._failed = 0 if failed else self._failed + 1
        if self._failed >= _MAX_FAILED_LEASES:
            raise error

    def _lease(self, devices: Sequence[str]) -> Lease:
        return Lease(
            self._resolved.factory,
            self._platform,
            str(paths.cache()),
            self._book,
            self._line,
            Selection(devices=list(devices)),
            self._environment,
            self._head,
            witnesses=False,  # every device is swept; that those of one card are one witness is for the votes
            worker=self._resolved.worker or DeviceWorker,
            ahead=self._builds(),
        )

    def _builds(self) -> list[TrialRequest]:
        """What every node has to build for the sweep; a suite's files build what they need themselves."""
        asked = self._resolved.request
        if self._resolved.self_validating:
            return []
        return [
            TrialRequest(
                kernel=asked.kernel, case=case, platform=asked.platform, input_set=asked.input_set, seed=asked.seed
            )
            for case in asked.cases
        ]


def _host(device: str) -> str:
    return device.rpartition("/")[0]
