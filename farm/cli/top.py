"""`farm top`: what the farm is doing now, and for whom."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from farm import paths
from farm.cli import options
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.monitor.active_runs import ActiveRun
from farm.monitor.snapshot import Snapshot, take
from farm.report.console import NamedRows, output_console
from farm.store.run_store import Store
from farm.text import counted, counting_order, one_line

_BAR = 12  # characters of a bar of progress
_STATES = {"healthy": "green", "suspect": "yellow", "quarantined": "red"}


@click.command("top")
@options.platform_option
@click.option("--address", help="Ray cluster to watch, for example head:6379. Default: the runs of this store alone.")
@click.option(
    "--interval", type=click.FloatRange(0.5, 60), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="Look once and end, as it also does into a pipe.")
@options.json_option
def command(platform: str, address: str | None, interval: float, once: bool, as_json: bool) -> None:
    """Show the runs that go on, the devices with who holds them, and who waits; Ctrl-C ends it.

    Running runs are those of this machine's store. With --address also every device of that cluster and the line of
    those who wait for one; farm top takes no device itself.
    """
    interrupt_on_sigterm()
    with Store.open(paths.store_url()) as store, _cluster(address):
        look = take(store, platform, address)
        if as_json:
            click.echo(json.dumps(_facts(look), indent=2))
            return
        console = output_console()
        if once or not console.is_terminal:
            console.print(view(look))
            return
        with contextlib.suppress(KeyboardInterrupt), Live(view(look), console=console, screen=True) as live:
            while True:
                time.sleep(interval)
                live.update(view(take(store, platform, address)))


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connected to the cluster at `address`, or not at all: no local one is started to be looked at."""
    if address is None:
        yield
        return
    from farm.cluster import connection

    with connection.connected(address, simulated=False):
        yield


def view(look: Snapshot) -> RenderableType:
    """The snapshot in 80 columns. Every name is taken as text, never as markup."""
    where = f"cluster {look.address}, {counted(look.free or 0, 'device')} free" if look.address else "this store's runs"
    parts: list[RenderableType] = [Text(f"farm top  {look.at}  {where}", "bold"), Text()]
    parts.append(_runs(look.runs) if look.runs else Text("no run goes on", "dim"))
    for going in look.runs:
        parts += [Text(), Text(f"devices of {one_line(going.record.run_id)}", "bold"), _progress(going)]
    if look.devices:
        parts += [Text(), Text("devices", "bold"), _devices(look)]
    if look.waiting:
        parts += [Text(), Text("waiting for devices, first in line first", "bold"), _waiting(look)]
    return Group(*parts)


def _runs(runs: tuple[ActiveRun, ...]) -> Table:
    table = _table("run", "kernel", "trials", "", "running", "left")
    for going in runs:
        table.add_row(
            Text(one_line(going.record.run_id)),
            Text(f"{one_line(going.record.kernel)} {one_line(', '.join(going.record.cases), 24)}"),
            f"{going.done}/{going.planned}",
            _bar(going.done, going.planned),
            _duration(going.elapsed_s),
            "–" if going.left_s is None else f"~{_duration(going.left_s)}",
        )
    return table


def _progress(going: ActiveRun) -> Table:
    table = _table("device", "trials", "", "doing", "lost")
    for device in sorted(going.devices, key=lambda device: counting_order(device.id)):
        trials = f"{device.done}/{device.planned}"
        stage = Text(one_line(device.stage) or "–")
        table.add_row(Text(one_line(device.id)), trials, _bar(device.done, device.planned), stage, str(device.lost))
    return table


def _devices(look: Snapshot) -> Table:
    table = _table("device", "state", "held by")
    for device in look.devices:
        state = Text(device.state or "–", _STATES.get(device.state, ""))
        held_by = device.run_id or device.lease.removeprefix("leased by ")
        table.add_row(Text(one_line(device.id)), state, Text(one_line(held_by) or "–"))
    return table


def _waiting(look: Snapshot) -> Table:
    table = _table("who", "wants", "priority", "waits")
    for ticket in look.waiting:
        waits = _duration(ticket.waited_s)
        table.add_row(Text(one_line(ticket.who)), str(ticket.count), ticket.priority.value, waits)
    return table


def _table(*headings: str) -> Table:
    table = NamedRows()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _bar(done: int, planned: int) -> Text:
    full = round(_BAR * min(done / planned, 1)) if planned else 0
    return Text("█" * full + "░" * (_BAR - full), "cyan")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _facts(look: Snapshot) -> dict[str, Any]:
    runs = [
        {
            "run_id": going.record.run_id,
            "kernel": going.record.kernel,
            "cases": going.record.cases,
            "platform": going.record.platform,
            "done": going.done,
            "planned": going.planned,
            "elapsed_s": round(going.elapsed_s, 3),
            "left_s": None if going.left_s is None else round(going.left_s, 3),
            "devices": [dataclasses.asdict(device) for device in going.devices],
        }
        for going in look.runs
    ]
    return {
        "at": look.at,
        "address": look.address,
        "free": look.free,
        "runs": runs,
        "devices": [dataclasses.asdict(device) for device in look.devices],
        "leases": [
            {
                "lease": lease.id,
                "devices": lease.devices,
                "who": lease.who,
                "program": lease.program,
                "until": lease.until,
            }
            for lease in look.leases
        ],
        "waiting": [{**dataclasses.asdict(ticket), "priority": ticket.priority.value} for ticket in look.waiting],
    }
