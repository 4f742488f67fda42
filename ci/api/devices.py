"""Devices: what the store knows of each. Which are in the cluster at this moment only the cluster knows."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ci.api.access import READER, GateHere
from ci.api.pages import Word
from farm.model.device_health import DeviceState
from farm.store.health_store import DeviceReport
from farm.store.run_store import Store

router = APIRouter(prefix="/devices", tags=["devices"], dependencies=[READER])


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


@router.get("", summary="List devices")
def list_devices(gate: GateHere, platform: Word | None = None) -> list[Device]:
    """Every device that was ever seen, by platform and id."""
    store = Store(gate.engine)
    platforms = sorted({seen.platform for seen in store.devices()} if platform is None else {platform})
    return [_device(report) for each in platforms for report in store.device_reports(each).values()]


def _device(report: DeviceReport) -> Device:
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
    )
