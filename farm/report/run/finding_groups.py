"""A gate's findings as a person lists them: what was found alike on several repeats or devices is listed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from farm.model.run import Finding, GateStatus

_SHOWN = 8  # devices or repeats of one group by name


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Findings of one message on the same case and output."""

    message: str
    status: GateStatus | None
    case: str | None
    output: str | None
    devices: tuple[str, ...]
    repeats: tuple[int, ...]  # empty where the devices' differ, or none is named

    @property
    def on_devices(self) -> str:
        """`device n/0`, `devices n/0, n/1`; "" without."""
        return _named("device", self.devices)

    @property
    def in_repeats(self) -> str:
        """`repeat 0`, `repeats 0, 1`; "" without."""
        return _named("repeat", self.repeats)


def grouped(findings: Iterable[Finding]) -> list[FindingGroup]:
    """`findings` in their order, those that differ in nothing but device and repeat as one."""
    alike: dict[tuple[str, GateStatus | None, str | None, str | None], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.message, finding.status, finding.case, finding.output), []).append(finding)
    return [FindingGroup(*same, *_places(members)) for same, members in alike.items()]


def _places(members: Iterable[Finding]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Devices, and the repeats where they are the same on all of them."""
    repeats: dict[str, list[int]] = {}
    for finding in members:
        of_device = repeats.setdefault(finding.device or "", [])
        if finding.repeat is not None:
            of_device.append(finding.repeat)
    different = {tuple(of_device) for of_device in repeats.values()}
    return tuple(device for device in repeats if device), different.pop() if len(different) == 1 else ()


def _named(noun: str, names: tuple[str, ...] | tuple[int, ...]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(map(str, names[:_SHOWN]))}{more}"
