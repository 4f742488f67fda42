"""Every device there is to tell of: those of the cluster, and those the store knows that are not in it now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from farm.model.device_health import DeviceState, Health
from farm.store.health_store import DeviceReport
from farm.store.lease_book import PersonLease
from farm.text import counted

OFFLINE = "offline"
_NOTABLE = (DeviceState.SUSPECT.value, DeviceState.QUARANTINED.value, OFFLINE)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device as it is shown. Field names are those of `farm devices --json`."""

    id: str  # "node/index"
    node: str
    index: int
    soc: str  # "" where nobody has asked it yet
    card: str  # the same
    state: str  # "healthy", "suspect", "quarantined" or "offline"
    health: str  # what an offline one was when it was seen last; for the others the same as `state`
    since: str  # ISO 8601, UTC; "" where it always was in this state
    why: str
    needs_probe: bool  # a canary runs on it before its next work
    last_seen: str
    last_runs: tuple[str, ...]  # newest first
    trials: int  # recent ones that say something about the device
    faults: int  # of `trials`
    fault_rate: float | None  # 0 to 1; None where there is no such trial
    locked: str  # "locked by alice (pid 3)" where another queue of its node has it; "" where none has
    lease: str  # "leased by ann@n7 until …" where a person has it; "" where none has

    @property
    def remark(self) -> str:
        """All that there is to say of it in words."""
        return "; ".join(filter(None, (self.locked, self.lease, self.why)))


def listed(
    present: Sequence[str],
    known: Mapping[str, DeviceReport],
    locked: Mapping[str, str] = MappingProxyType({}),
    leases: Mapping[str, PersonLease] = MappingProxyType({}),
) -> list[DeviceRow]:
    """The devices of the cluster in the order of their ids in `present`, then the other `known` ones, by id.

    `locked` has who uses a device outside of the farm, `leases` which a person has.
    """
    here = [
        _line(
            known[device],
            present=True,
            locked=locked.get(device, ""),
            lease=str(leases[device]) if device in leases else "",
        )
        for device in present
    ]
    return here + [_line(known[device], present=False) for device in sorted(set(known) - set(present))]


def census(devices: Sequence[DeviceRow], free: int) -> str:
    """How many there are of each kind, in one line."""
    present = sum(device.state != OFFLINE for device in devices)
    counts = {state: sum(device.state == state for device in devices) for state in _NOTABLE}
    told = [f"{count} {state}" for state, count in counts.items() if count]
    return ", ".join([counted(present, "device"), f"{free} free", *told])


def _line(report: DeviceReport, present: bool, locked: str = "", lease: str = "") -> DeviceRow:
    seen, health = report.seen, report.health
    index = seen.id.rpartition("/")[2]
    return DeviceRow(
        id=seen.id,
        node=seen.node,
        index=int(index) if index.isdecimal() else 0,
        soc=seen.soc,
        card=seen.card,
        state=health.state.value if present else OFFLINE,
        health=health.state.value,
        since=health.since if present else seen.last_seen,
        why=health.why if present else _absence(health),
        needs_probe=health.needs_probe,
        last_seen=seen.last_seen,
        last_runs=report.last_runs,
        trials=report.trials,
        faults=report.faults,
        fault_rate=report.fault_rate,
        locked=locked,
        lease=lease,
    )


def _absence(health: Health) -> str:
    was = "" if health.state is DeviceState.HEALTHY else f"; {health.state.value}: {health.why}"
    return f"not in the cluster{was}"
