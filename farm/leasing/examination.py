"""Asks a fresh worker whether its device may be used, and notes what its canary says."""

from __future__ import annotations

from farm.errors import InfrastructureError
from farm.leasing.allocation import DeviceAllocation
from farm.leasing.device_jobs import Ready
from farm.leasing.worker_pool import Workers
from farm.model.device_health import Health, HealthBook, of_probe
from farm.timestamps import now


class DeviceExamination:
    """Of the devices of one lease. Several threads may use it."""

    def __init__(self, workers: Workers, platform: str, book: HealthBook) -> None:
        """`platform` is the name under which `book` keeps the devices."""
        self._workers = workers
        self._platform = platform
        self._book = book
        self._failed: set[str] = set()

    def failed(self, device: str) -> bool:
        """Whether `device` failed its canary when it was last run here."""
        return device in self._failed

    def ask(self, slot: int, place: DeviceAllocation) -> tuple[Ready, Health]:
        """Return what the worker of `slot` says of its device, and how fit the card in it is, wherever it was before.

        Raises `InfrastructureError`, and `HostOverloadedError` where the worker does not answer in time; then nothing
        is noted of the device.
        """
        told = self._workers.ready(slot, place)
        known = self._book.identify(self._platform, place.id, told.identity) if told.identity else Health()
        if not told.locked:
            self._book.observe([of_probe(told.canary, place.id, self._platform, now())])
        if told.locked or told.canary.healthy:
            self._failed.discard(place.id)
        else:
            self._failed.add(place.id)
        return told, known


def problem(device: str, told: Ready, known: Health) -> InfrastructureError | None:
    """Return why `device` cannot be used, by what was asked; None where it can."""
    if told.locked:
        return InfrastructureError(f"device {device} is {told.locked}")
    if not known.usable:
        return InfrastructureError(f"device {device} has the card {told.identity}, which is quarantined: {known.why}")
    if not told.canary.healthy:
        return InfrastructureError(f"device {device} failed its canary: {told.canary.detail}")
    return None
