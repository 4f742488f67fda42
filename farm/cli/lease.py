"""`farm lease`: devices for a person's own command."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from farm.cli import options
from farm.cli.first_line import announced
from farm.cli.termination_signal import interrupt_on_sigterm
from farm.errors import UsageError
from farm.model.priority import Priority
from farm.text import one_line

if TYPE_CHECKING:
    from farm.leasing.device_queue import QueueEntry
    from farm.store.lease_book import PersonLease

_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 7 * 86400
_WORD_S = 60.0  # between two words on a wait


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGS]...")
@click.option("--devices", "-n", type=click.IntRange(min=1), default=1, show_default=True, help="How many, at once.")
@click.option(
    "--for", "limit", default="1h", show_default=True, metavar="TIME", help="For how long at most: 90s, 30m, 2h."
)
@options.platform_option
@click.option("--address", help="Ray cluster to lease from, for example head:6379. Default: a local one.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for leased devices.")
@click.option("--device", "wanted", multiple=True, metavar="NODE/INDEX", help="Only this; repeatable.")
@click.option(
    "--priority",
    type=click.Choice([priority.value for priority in Priority if not priority.yields]),
    default=Priority.INTERACTIVE.value,
    show_default=True,
    help="Place in the queue of a shared cluster.",
)
@click.option("--physical", is_flag=True, help="Show COMMAND all devices by their physical numbers.")
@click.option("--json", "as_json", is_flag=True, help="Begin with one line of JSON on stdout; the rest is COMMAND's.")
@announced("leasing devices for {program}")
def command(
    program: tuple[str, ...],
    devices: int,
    limit: str,
    platform: str,
    address: str | None,
    wait_s: float,
    wanted: tuple[str, ...],
    priority: str,
    physical: bool,
    as_json: bool,
) -> None:
    """Run COMMAND with devices of this machine that nobody else gets meanwhile.

    They are leased through the same queue as those of runs, after a canary on each, and shown in `farm top`, `farm
    devices` and the dashboard. COMMAND finds them in ASCEND_RT_VISIBLE_DEVICES, as 0, 1, … for itself, and their
    physical numbers in TASK_DEVICE. With --physical, for programs that take `-d $TASK_DEVICE`, the first is not set.

    At the end of the time COMMAND gets SIGTERM, ten seconds later SIGKILL, and so does all it has started. Ctrl-C is
    COMMAND's; twice within a second, or SIGTERM, ends it. The exit code is COMMAND's.

    \b
    Examples:
      farm lease --platform a2a3 --address auto --for 2h -- bash
      farm lease --devices 2 --physical --for 30m -- sh -c 'python qkv.py -p a2a3 -d $TASK_DEVICE'
    """
    from farm.execution.person_lease import LeaseRequest, leased
    from farm.process import foreground
    from farm.process.foreground import Ending
    from kernel.registry import find_platform

    seconds = _seconds(limit)
    if shutil.which(program[0]) is None:
        raise UsageError(f"there is no program '{one_line(program[0])}' to run; name one behind --")
    interrupt_on_sigterm()
    own, stdout = dict(os.environ), sys.stdout  # as the caller has them: Ray adds to both
    request = LeaseRequest(devices, seconds, program[0], wait_s, Priority(priority), wanted)
    factory = functools.partial(find_platform, platform)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        leased(factory, request, address, _say, _Waiting(), _say_locked) as held,
    ):
        if as_json:
            click.echo(json.dumps(_facts(held.entry)), file=stdout)
        else:
            _say(f"{', '.join(held.entry.devices)} until {held.entry.until}")
        ended = foreground.run(program, held.environment(own, renumbered=not physical), seconds, held.check)
        if ended.why is not Ending.ITSELF:
            why = "the time is over" if ended.why is Ending.TIME else "interrupted"
            _say(f"farm: {why}; {one_line(held.entry.program)} was ended")
    sys.exit(ended.code)


def _facts(entry: PersonLease) -> dict[str, object]:
    return {"lease": entry.id, "platform": entry.platform, "devices": entry.devices, "until": entry.until}


def _say(text: str) -> None:
    """Print on stderr: stdout is the command's."""
    click.echo(text, err=True)


def _say_locked(device: str, who: str) -> None:
    _say(f"device {device} is {who}")


class _Waiting:
    """Says once a minute that the lease waits, and behind how many."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __call__(self, ahead: list[QueueEntry], waited_s: float) -> None:
        if time.monotonic() >= self._next_s:
            from farm.cli.run_progress import describe_wait

            self._next_s = time.monotonic() + _WORD_S
            _say(describe_wait(ahead, waited_s))


def _seconds(text: str) -> float:
    """A time in seconds. Raises `UsageError`."""
    found = _TIME.fullmatch(text)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 1 <= seconds <= _LONGEST_S:
        raise UsageError(f"--for '{one_line(text)}' is no time; write 90s, 30m, 2h or 1d, from 1s to 7d")
    return seconds
