"""`farm test`: a pytest suite spread over N devices."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import click

from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.termination_signal import interrupt_on_sigterm

_JUNIT = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH]... [-- PYTEST ARGUMENTS]")
@click.option("--devices", "-n", type=click.IntRange(1, 64), default=3, show_default=True, help="Tests at once.")
@options.platform_option
@click.option("--address", help="Ray cluster to use, for example head:6379. Default: a local one.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a test waits for devices others hold.",
)
@click.option(
    "--junit", type=_JUNIT, default=Path("farm-runs/tests.xml"), show_default=True, help="JUnit file to write."
)
@options.json_option
def command(
    arguments: tuple[str, ...],
    devices: int,
    platform: str,
    address: str | None,
    wait_s: float,
    junit: Path,
    as_json: bool,
) -> None:
    """Run the pytest suite at PATH with N tests at once, each on a device of its own.

    The tests lease their devices through the fixtures farm_device and farm_trial. Writes one JUnit file whose
    properties name the device of each test. Exit codes: 0 all passed, 1 a test failed, 3 none failed but some could not
    be run (a device's or the farm's fault, or the suite ended early), 2 wrong usage.

    \b
    Examples:
      farm test tests/kernels
      farm test . --devices 4 -- -k "tiny and not slow"
    """
    from farm.testing import suite

    interrupt_on_sigterm()
    plugin = ["--farm-platform", platform, "--farm-wait", str(wait_s)]
    plugin += ["--farm-address", address] if address else []
    ended = suite.run(arguments, devices, plugin, junit, quiet=as_json)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(ended), indent=2))
    else:
        where = ", ".join(f"{count} on {device}" for device, count in ended.devices.items()) or "none leased a device"
        left = f", {ended.unfinished} more came to no outcome" if ended.unfinished else ""
        click.echo(f"{ended.tests} tests: {where}{left}; {junit}")
    if ended.failures:
        sys.exit(ExitCode.FAILED)
    if ended.errors:
        sys.exit(ExitCode.ERRORED)
