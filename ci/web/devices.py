"""The wall of devices, and one device: its history, and what a person may do with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Engine, select

from ci.api.access import ApiContext, GateHere, Origin
from ci.store.states import Scope
from ci.web.auth.access import Reader, Viewer, acting
from ci.web.pages import render
from farm import timestamps
from farm.analysis import device_drift
from farm.analysis.device_drift import Drift
from farm.model.audit import Actor, AuditAction
from farm.model.device_health import DeviceState, EventKind, HealthEvent
from farm.stats.thresholds import MIN_SHARE
from farm.store import lease_book, row_mapping
from farm.store.engine import transaction
from farm.store.health_store import DeviceReport, dated_ahead
from farm.store.lease_book import PersonLease
from farm.store.row_mapping import DeviceSighting
from farm.store.run_store import Store
from farm.store.tables import RUN
from farm.text import one_line

router = APIRouter(prefix="/devices")

_EVENTS = 100  # shown of one device

Platform = Annotated[str, Path(max_length=100)]
DeviceId = Annotated[str, Path(max_length=300)]
Reason = Annotated[str, Form(max_length=300)]


def _subject(gate: GateHere, platform: Platform, device: DeviceId) -> Callable[[], str]:
    return lambda: f"{platform}/{_seen(gate, platform, device).id}"


Quarantiner = Annotated[Viewer, Depends(acting(Scope.ADMIN, AuditAction.QUARANTINED, _subject))]
Releaser = Annotated[Viewer, Depends(acting(Scope.ADMIN, AuditAction.RELEASED, _subject))]


@dataclass(frozen=True, slots=True)
class Tile:
    """One device on the wall."""

    id: str
    node: str
    state: str
    why: str
    run_id: str  # that leases it now; "" where none does
    lease: str  # of a person, in words; "" where it has none
    trials: int
    fault_rate: float | None
    drift: Drift | None


@dataclass(frozen=True, slots=True)
class Wall:
    """The devices of one platform."""

    name: str
    tiles: Sequence[Tile]

    @property
    def counts(self) -> dict[str, int]:
        """State → devices in it, every state named."""
        counted = Counter(tile.state for tile in self.tiles)
        return {state.value: counted[state.value] for state in DeviceState}

    @property
    def leased(self) -> int:
        """Devices that a run or a person holds."""
        return sum(bool(tile.run_id or tile.lease) for tile in self.tiles)

    @property
    def nodes(self) -> dict[str, list[Tile]]:
        """Node → its devices, in the order of their ids."""
        found: dict[str, list[Tile]] = defaultdict(list)
        for tile in self.tiles:
            found[tile.node].append(tile)
        return dict(found)


@router.get("")
def devices(request: Request, gate: GateHere, who: Reader) -> HTMLResponse:
    """Every device that was ever seen, by platform and node."""
    store = Store(gate.engine)
    store.settle()
    held = leases(gate.engine)
    walls = [
        Wall(
            platform,
            _tiles(
                store.device_reports(platform, last_runs=False).values(),
                held,
                lease_book.by_device(lease_book.current(gate.engine, platform)),
                device_drift.recent(gate.engine, platform),
            ),
        )
        for platform in sorted({seen.platform for seen in store.devices()})
    ]
    return render(
        request,
        "devices.html",
        who,
        platforms=walls,
        window=device_drift.RUNS,
        odd=MIN_SHARE,
        enough=device_drift.ENOUGH,
    )


@router.get("/{platform}/{device:path}")
def device(request: Request, gate: GateHere, who: Reader, platform: Platform, device: DeviceId) -> HTMLResponse:
    """One device: what is known of it, and what happened on it."""
    seen = _seen(gate, platform, device)
    store = Store(gate.engine)
    return render(
        request,
        "device.html",
        who,
        seen=seen,
        health=store.device_health(platform, device),
        events=store.device_history(platform, device, _EVENTS),
        drift=device_drift.recent(gate.engine, platform).get(device),
        address=_address(platform, device),
    )


@router.post("/{platform}/{device:path}/quarantine")
def quarantine(
    gate: GateHere, who: Quarantiner, origin: Origin, platform: Platform, device: DeviceId, reason: Reason = ""
) -> RedirectResponse:
    """Give a device no more work until somebody releases it."""
    return _decide(gate, Actor(who.by, origin), platform, device, EventKind.QUARANTINED, reason)


@router.post("/{platform}/{device:path}/release")
def release(
    gate: GateHere, who: Releaser, origin: Origin, platform: Platform, device: DeviceId, reason: Reason = ""
) -> RedirectResponse:
    """End a device's quarantine; it comes back as suspect."""
    health = Store(gate.engine).device_health(platform, device)
    if health is not None and health.usable and not dated_ahead(health.last_event_at):
        raise HTTPException(409, f"device '{device}' is {health.state.value}; only a quarantined one can be released")
    return _decide(gate, Actor(who.by, origin), platform, device, EventKind.RELEASED, reason)


def leases(engine: Engine) -> dict[tuple[str, str], str]:
    """(platform, device) → the running run that holds it."""
    query = select(RUN).where(RUN.c.verdict.is_(None)).order_by(RUN.c.started_at)
    with transaction(engine, "read") as connection:
        records = [row_mapping.record(row, []) for row in connection.execute(query)]
    return {(record.platform, held.id): record.run_id for record in records for held in record.devices}


def _tiles(
    reports: Iterable[DeviceReport],
    held: dict[tuple[str, str], str],
    lent: Mapping[str, PersonLease],
    drifts: dict[str, Drift],
) -> tuple[Tile, ...]:
    return tuple(
        Tile(
            id=report.seen.id,
            node=report.seen.node,
            state=report.health.state.value,
            why=report.health.why,
            run_id=held.get((report.seen.platform, report.seen.id), ""),
            lease=str(lent[report.seen.id]) if report.seen.id in lent else "",
            trials=report.trials,
            fault_rate=report.fault_rate,
            drift=drifts.get(report.seen.id),
        )
        for report in reports
    )


def _decide(gate: ApiContext, by: Actor, platform: str, device: str, kind: EventKind, reason: str) -> RedirectResponse:
    """Take down what a person decided, and who it was."""
    _seen(gate, platform, device)
    why = one_line(reason.strip())
    if not why:
        raise HTTPException(422, "reason: empty; say why, for whoever looks at the device next")
    event = HealthEvent(device, platform, timestamps.now(), kind, f"{why} ({by.name})")
    Store(gate.engine).decide(event, by)
    return RedirectResponse(_address(platform, device), 303)


def _seen(gate: ApiContext, platform: str, device: str) -> DeviceSighting:
    found = Store(gate.engine).devices()
    for each in found:
        if (each.platform, each.id) == (platform, device):
            return each
    raise HTTPException(404, f"no device '{device}' of platform '{platform}' was ever seen")


def _address(platform: str, device: str) -> str:
    return f"/devices/{quote(platform, safe='')}/{quote(device)}"
