"""`farm devices`: which devices there are, how fit each is, and what a person can do about it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import datetime

import click
from rich.table import Table
from rich.text import Text

from farm import paths
from farm.cli import device_actions, options
from farm.monitor.device_list import OFFLINE, DeviceRow, census, listed
from farm.report.console import NamedRows, output_console
from farm.store import lease_book
from farm.store.run_store import Store
from farm.text import one_line, share
from kernel.errors import KernelLayerError
from kernel.platforms.protocol import Platform
from kernel.registry import find_platform

WIDE = 120  # columns from which chip, card and dates fit too; `--json` has them anywhere
_STYLES = {"healthy": "green", "suspect": "yellow", "quarantined": "red", OFFLINE: "dim"}


@click.group(invoke_without_command=True)
@options.platform_option
@click.option("--address", help="Ray cluster to ask, for example head:6379. Default: what a local one would have.")
@options.json_option
@click.pass_context
def command(context: click.Context, platform: str, address: str | None, as_json: bool) -> None:
    """List every device: state, since when and why, card, fault rate, last runs.

    Offline are devices that were seen once and are not in the cluster now. Without --address a local cluster is started
    for the question and ended again. On a terminal a table; into a pipe one device a line, fields separated by tabs.
    """
    if context.invoked_subcommand is not None:
        options.refuse_options_before(context)
        return
    devices, free = _ask(platform, address)
    if as_json:
        told = [dataclasses.asdict(device) for device in devices]
        click.echo(json.dumps({"platform": platform, "devices": told, "free": free}, indent=2))
    elif not sys.stdout.isatty():
        for device in devices:
            click.echo("\t".join(_fields(device)))
    else:
        console = output_console()
        console.print(device_table(devices, console.width >= WIDE))
        click.echo(census(devices, free))


command.add_command(device_actions.probe)
command.add_command(device_actions.quarantine)
command.add_command(device_actions.release)
command.add_command(device_actions.history)


def _ask(platform: str, address: str | None) -> tuple[list[DeviceRow], int]:
    """Every device and how many are free. Those of the cluster are noted as seen."""
    from farm.cluster import connection
    from farm.execution import preflight
    from farm.leasing import lock_survey

    found = find_platform(platform)
    preflight.require(found)
    with Store.open(paths.store_url()) as store:
        store.device_reports(platform)  # what is kept may be refused; better before a cluster is started
        with connection.connected(address, simulated=not found.noisy):
            free = connection.free_count()
            locked = lock_survey.locked_devices() if address or found.noisy else {}  # simulated ones have no locks
            present = [
                {"id": f"{node.name}/{index}", "node": node.name, **_hardware(found, index)}
                for node in connection.nodes().values()
                for index in range(node.npus)
            ]
        store.see(platform, present)
        lent = lease_book.by_device(lease_book.current(store.engine, platform))
        return listed([device["id"] for device in present], store.device_reports(platform), locked, lent), free


def _hardware(platform: Platform, index: int) -> dict[str, str]:
    """Return chip and card, where they are known here: only a worker on its node knows what a real device is."""
    if platform.noisy:
        return {"soc": "", "card": ""}
    try:
        return {"soc": platform.soc(index), "card": platform.card(index)}
    except KernelLayerError:
        return {"soc": "", "card": ""}


def _fields(device: DeviceRow) -> list[str]:
    """One device as plain text without tabs or line breaks; empty fields are `-`."""
    fields = [
        device.id,
        device.state,
        device.since,
        device.soc,
        device.card,
        _rate(device),
        ",".join(device.last_runs),
        device.remark,
    ]
    return [one_line(field) or "-" for field in fields]


def device_table(devices: Sequence[DeviceRow], wide: bool) -> Table:
    """Return the table of `devices`; one that is not `wide` leaves columns out."""
    table = NamedRows(gap=2 if wide else 1)
    for heading in ("device", "state", *(["since"] if wide else []), "faults"):
        table.add_column(heading, no_wrap=True)
    for heading in (*(["chip", "card", "last run"] if wide else []), "why"):
        table.add_column(heading, overflow="fold")
    for device in devices:
        last_run = device.last_runs[0] if device.last_runs else ""
        table.add_row(
            Text(one_line(device.id)),
            Text(device.state, style=_STYLES[device.state]),
            *([_when(device.since)] if wide else []),
            _rate(device),
            *([Text(one_line(field)) for field in (device.soc, device.card, last_run)] if wide else []),
            Text(one_line(device.remark)),
        )
    return table


def _rate(device: DeviceRow) -> str:
    if device.fault_rate is None:
        return ""
    return f"{share(device.fault_rate)} of {device.trials}"


def _when(moment: str) -> str:
    """In the reader's own time zone."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""
