"""Devices: what the store knows of each, who has it included. Which are in the cluster now only the cluster knows."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ci.api.access import READER, GateHere
from ci.api.pages import Word
from farm.model.device_health import DeviceState
from farm.monitor.active_runs import going
from farm.store import lease_book
from farm.store.health_store import DeviceReport
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store

router = APIRouter(prefix="/devices", tags=["devices"], dependencies=[READER])


class DeviceBooking(BaseModel):
    """A device that a person has for a program of their own (`farm lease`)."""

    who: str  # "user@host"
    program: str
    since: str  # ISO 8601, UTC
    until: str  # the same; earlier, where the program ends before

    @classmethod
    def of(cls, lease: PersonLease) -> DeviceBooking:
        """What is shown of `lease`."""
        return cls(who=lease.who, program=lease.program, since=lease.started_at, until=lease.until)


class Device(BaseModel):
    """One device and how fit it is."""

    platform: str
    id: str  # "node/index"
    node: str
    soc: str  # "" where nobody has asked it yet
    card: str  # the same
    state: DeviceState
    since: str  # ISO 8601, UTC; "" where nothing has happened yet
    why: str
    last_seen: str
    last_runs: list[str]  # newest first
    trials: int  # those that `faults` are of
    faults: int
    run: str  # id of the run under way that has it; "" where none of this store's has
    lease: DeviceBooking | None  # of a person


@router.get("", summary="List devices")
def list_devices(gate: GateHere, platform: Word | None = None) -> list[Device]:
    """Every device that was ever seen, by platform and id, and who has it now: a run, a person, or nobody."""
    store = Store(gate.engine)
    platforms = sorted({seen.platform for seen in store.devices()} if platform is None else {platform})
    runs = {
        (held.platform, held.id): active.record.run_id
        for active in going(gate.engine)
        for held in active.record.devices
    }
    listed = []
    for each in platforms:
        leases = lease_book.by_device(lease_book.current(gate.engine, each))
        reports = store.device_reports(each)
        listed += [_device(one, runs.get((each, name), ""), leases.get(name)) for name, one in reports.items()]
    return listed


def _device(report: DeviceReport, run: str, lease: PersonLease | None) -> Device:
    seen, health = report.seen, report.health
    return Device(
        platform=seen.platform,
        id=seen.id,
        node=seen.node,
        soc=seen.soc,
        card=seen.card,
        state=health.state,
        since=health.since,
        why=health.why,
        last_seen=seen.last_seen,
        last_runs=list(report.last_runs),
        trials=report.trials,
        faults=report.faults,
        run=run,
        lease=DeviceBooking.of(lease) if lease else None,
    )
