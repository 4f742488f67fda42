"""`farm test`: a pytest suite spread over N devices."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farm.cli import options
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.text import one_line

if TYPE_CHECKING:
    from farm.testing.suite import DeviceSuite

_SHOWN = 20  # tests that did not pass
_JUNIT = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH]... [-- PYTEST ARGUMENTS]")
@click.option(
    "--profile",
    metavar="NAME|FILE.toml",
    help="Run another repository's suite, unmodified, as this profile says; see farm suite list.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    metavar="DIR",
    help="With --profile: the repository. Default: this directory.",
)
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
@announced("running tests: {arguments}", profile="running the suite of {profile}")
def command(
    arguments: tuple[str, ...],
    profile: str | None,
    root: Path,
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

    With --profile the suite needs no fixture of the farm: each worker finds its device where the profile puts it, in an
    argument or a variable. A test that may have met a device's fault is run again on another device. PATHs, which lie
    below --root, default to the profile's own files. The tests run as your user: only run what you trust.

    \b
    Examples:
      farm test tests/kernels
      farm test . --devices 4 -- -k "tiny and not slow"
      farm test --profile flaggems --root ../FlagGems --platform a2a3 tests/test_blas_ops.py -- -k mm
    """
    from farm.testing import suite

    interrupt_on_sigterm()
    if profile is not None:
        _foreign(profile, root, arguments, devices, platform, address, wait_s, junit, as_json)
        return
    plugin = ["--farm-platform", platform, "--farm-wait", str(wait_s)]
    plugin += ["--farm-address", address] if address else []
    ended = suite.run(arguments, devices, plugin, junit, quiet=as_json)
    _finish(ended, as_json=as_json)


def _foreign(
    profile: str,
    root: Path,
    arguments: tuple[str, ...],
    devices: int,
    platform: str,
    address: str | None,
    wait_s: float,
    junit: Path,
    as_json: bool,
) -> None:
    """Run the suite of another repository, and end the process with its exit code."""
    from farm.testing.foreign import suite
    from farm.testing.foreign.attempt import AttemptEnding

    asked = suite.ForeignRequest(profile, platform, root, arguments, devices, wait_s, junit)
    with contextlib.redirect_stdout(io.StringIO()):  # Ray's
        ended, results = suite.run(asked, address, _say, lambda ahead, waited_s: None)
    wrong = [each for each in results if each.ending not in (AttemptEnding.PASSED, AttemptEnding.SKIPPED)]
    for each in wrong[:_SHOWN]:
        word = "FAILED" if each.ending is AttemptEnding.FAILED else "ERROR"
        _say(f"{word} {one_line(each.name)} on {each.device or 'no device'}: {one_line(each.message)}")
    if len(wrong) > _SHOWN:
        _say(f"and {len(wrong) - _SHOWN} more; see {junit}")
    _finish(ended, as_json=as_json)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _finish(ended: DeviceSuite, *, as_json: bool) -> None:
    """Print the totals, and end the process with the exit code they mean."""
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(ended), indent=2))
    else:
        where = ", ".join(f"{count} on {device}" for device, count in ended.devices.items()) or "none leased a device"
        left = f", {ended.unfinished} without an outcome" if ended.unfinished else ""
        click.echo(f"{ended.tests} tests: {where}{left}; {ended.junit}")
    if ended.failures:
        sys.exit(ExitCode.FAILED)
    if ended.errors:
        sys.exit(ExitCode.ERRORED)
