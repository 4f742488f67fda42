"""What a person does with one device: `farm devices probe | quarantine | release | history`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import sys

import click

from farm import paths
from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.errors import UsageError
from farm.model.device_health import EventKind, Health, HealthEvent
from farm.store.audit_log import console
from farm.store.health_store import dated_ahead
from farm.store.run_store import Store
from farm.text import one_line
from farm.timestamps import now
from kernel.registry import find_platform


@click.command()
@click.argument("devices", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every device of the cluster.")
@options.platform_option
@click.option("--address", help="Ray cluster to use, for example head:6379. Default: a local one.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for leased devices.")
@options.json_option
@announced("running canaries: {devices}", everything="running the canary of every device")
def probe(
    devices: tuple[str, ...], everything: bool, platform: str, address: str | None, wait_s: float, as_json: bool
) -> None:
    """Run the canary program on devices, quarantined ones too, and note what came of it.

    Each device is leased for it, so nobody else's work is disturbed. Exit code 3 where one is unfit or could not be
    probed.
    """
    from farm.execution.device_probe import probe_devices

    if everything == bool(devices):
        raise UsageError("name the devices to probe, or all of them with --all")
    with Store.open(paths.store_url()) as store:
        # Ray prints what befalls its workers to sys.stdout, from a thread of its own.
        with contextlib.redirect_stdout(io.StringIO()):
            told = probe_devices(functools.partial(find_platform, platform), devices, store, address, wait_s)
        health = store.health(platform)
    if as_json:
        results = [{**dataclasses.asdict(each), "state": health.get(each.id, Health()).state.value} for each in told]
        click.echo(json.dumps({"platform": platform, "devices": results}, indent=2))
    else:
        for each in told:
            state = health.get(each.id, Health()).state.value
            click.echo("\t".join((each.id, each.outcome, state, one_line(each.detail))))
    if not all(each.healthy for each in told):
        sys.exit(ExitCode.ERRORED)


@click.command()
@click.argument("device", metavar="ID")
@click.option("--reason", required=True, help="Why, for the next person who looks at it.")
@options.platform_option
@options.json_option
def quarantine(device: str, reason: str, platform: str, as_json: bool) -> None:
    """Give device ID no more work until somebody releases it.

    Work that is under way on it goes on. No canary ends this quarantine.
    """
    if not reason.strip():
        raise UsageError("--reason is empty; say why, for whoever looks at the device next")
    with Store.open(paths.store_url()) as store:
        _known(store, platform, device)
        _decide(store, platform, device, EventKind.QUARANTINED, one_line(reason), as_json)


@click.command()
@click.argument("device", metavar="ID")
@click.option("--reason", default="released by a person", show_default=True, help="Why, for the device's history.")
@options.platform_option
@options.json_option
def release(device: str, reason: str, platform: str, as_json: bool) -> None:
    """End the quarantine of device ID.

    It comes back as suspect: its next work begins with a canary, and a good trial makes it healthy.
    """
    with Store.open(paths.store_url()) as store:
        health = _known(store, platform, device)
        if health.usable and not dated_ahead(health.last_event_at):
            raise UsageError(f"device '{device}' is {health.state.value}; only a quarantined device can be released")
        _decide(store, platform, device, EventKind.RELEASED, one_line(reason), as_json)


@click.command()
@click.argument("device", metavar="ID")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@options.platform_option
@options.json_option
def history(device: str, limit: int, platform: str, as_json: bool) -> None:
    """List what happened on device ID, newest first: one event a line, fields separated by tabs, times in UTC."""
    with Store.open(paths.store_url()) as store:
        _known(store, platform, device)
        events = store.device_history(platform, device, limit)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(event) for event in events], indent=2))
        return
    for event in events:
        fields = (event.at, event.kind.value, event.state.value, event.run_id, event.reason)
        click.echo("\t".join(one_line(field) or "-" for field in fields))


def _decide(store: Store, platform: str, device: str, kind: EventKind, reason: str, as_json: bool) -> None:
    """Take down what a person decided, and say where that leaves the device."""
    store.decide(HealthEvent(device, platform, now(), kind, reason), console())
    health = _known(store, platform, device)
    if as_json:
        told = {"platform": platform, "id": device, **dataclasses.asdict(health), "by_person": health.by_person}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{device} is {health.state.value}: {one_line(health.why)}")


def _known(store: Store, platform: str, device: str) -> Health:
    """What is kept of a device. Raises `UsageError` where it was never seen, `UnknownNameError` for the platform."""
    find_platform(platform)
    health = store.device_health(platform, device)
    if health is None:
        raise UsageError(f"no device '{device}' of platform {platform} was ever seen; `farm devices` lists them")
    return health
