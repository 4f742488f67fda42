"""What `farm tune` and `farm ledger` share: their options, and measuring a campaign on leased devices."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from farm.cli import options
from farm.model.run import RunRequest
from farm.model.timeouts import Timeouts
from kernel.file_kernels import absolute

if TYPE_CHECKING:
    from farm.tuning.campaign import Campaign
    from kernel.platforms.protocol import Platform
    from kernel.spec import Kernel

Command = TypeVar("Command", bound=Callable[..., Any])


def campaign_options(command: Command) -> Command:
    """`--case --platform --devices --out --address --wait` and the timeouts."""
    decorators = (
        click.option("--case", "-c", "case", help="Shape point. Default: the kernel's own."),
        options.platform_option,
        click.option(
            "--devices", "-n", type=int, default=2, show_default=True, help="Devices that measure side by side."
        ),
        options.out_option,
        options.limit_options,
        options.cluster_options,
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def template(name: str, kernel: Kernel, case: str, platform: str, devices: int) -> RunRequest:
    """The request every point is a variation of: documented inputs, seed 0, one repeat.

    `name` is what `kernel` was asked for by.
    """
    return RunRequest(
        kernel=absolute(name),
        cases=[case],
        platform=platform,
        devices=devices,
        repeats=1,
        input_set=next(iter(kernel.input_sets)),
        seed=0,
    )


def measure(
    campaign: Campaign,
    request: RunRequest,
    kernel: Kernel,
    out: Path,
    address: str | None,
    wait_s: float,
    timeouts: Timeouts,
    limit_s: float | None = None,
) -> tuple[Platform, Path]:
    """Measure `campaign` of `kernel` on leased devices; its platform, and the directory with the logs.

    Ctrl-C ends it early and is not an error: what was measured until then is the campaign's.
    """
    from farm.execution import plan
    from farm.execution.deadlines import RunDeadlines
    from farm.execution.in_flight import InFlightTrials
    from farm.execution.resolved_run import resolve
    from farm.execution.session import SessionOptions, leased
    from farm.timestamps import new_id
    from farm.tuning.campaign import CampaignExecutor

    how = SessionOptions(out=out, address=address, wait_s=wait_s, timeouts=timeouts)
    closes = math.inf if limit_s is None else time.monotonic() + limit_s
    point = plan.make(request, warm_up=False).requests[request.cases[0]]
    resolved = resolve(request, kernel)
    with contextlib.redirect_stdout(io.StringIO()), leased(resolved, how, witnesses=False) as held:
        directory = (out / new_id()).resolve()
        (directory / "logs").mkdir(parents=True)
        try:
            deadlines = RunDeadlines(how.timeouts, held.lease)
            in_flight = InFlightTrials(held.lease, directory, resolved.platform.clock, timeouts.trial_s)
            CampaignExecutor(campaign, held.lease, in_flight, point, deadlines, closes).run()
        except KeyboardInterrupt:
            click.echo("farm: interrupted; keeping what was measured", err=True)
        return resolved.platform, directory
