"""`farm notify`: whether the channels of `farm.toml` work."""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci.cli.options import config_option
from farm import timestamps
from farm.cli.exit_codes import ExitCode
from farm.cli.first_line import announced

if TYPE_CHECKING:
    from ci.notify.channel import Channel


@click.command("notify")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead.")
@config_option
@announced("asking the service for notices")
def command(names: tuple[str, ...], as_json: bool, config: Path) -> None:
    """Send a notice on trial through every [[notify]], or through those named, and say what came of each.

    It goes out whatever events a channel has chosen. Exit code 0 where all took it, 2 where there is no such channel, 3
    where one did not take it.
    """
    import asyncio

    from ci.config.settings import load
    from ci.notify.open import open_channels
    from farm.errors import UsageError

    loaded = load(config, os.environ)
    channels = {name.partition("/")[2]: channel for name, channel in open_channels(loaded).items()}
    if not channels:
        raise UsageError(f"{config} has no [[notify]]; ci/farm.example.toml shows some")
    unknown = [name for name in names if name not in channels]
    if unknown:
        raise UsageError(f"no [[notify]] is named {', '.join(unknown)}; there are: {', '.join(channels)}")
    url = str(loaded.server.public_url)
    chosen = {name: channel for name, channel in channels.items() if not names or name in names}
    told = [asyncio.run(_tried(channel, url)) for channel in chosen.values()]
    rows = [{"name": name, "problem": problem} for name, problem in zip(chosen, told, strict=True)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            click.echo(f"{row['name']}\t{row['problem'] or 'sent'}")
    sys.exit(ExitCode.ERRORED if any(told) else ExitCode.PASSED)


async def _tried(channel: Channel, url: str) -> str:
    """Why `channel` did not take a notice; "" where it did."""
    from ci.errors import ChannelRefusedError, ChannelUnavailableError
    from ci.notify.notice import Notice
    from ci.store.states import Event

    notice = Notice(
        id=f"trial-{uuid.uuid4().hex}",
        event=Event.PASSED,
        at=timestamps.as_text(timestamps.utc_now()),
        title="a notice on trial from the NPU kernel farm",
        reason="sent by `farm notify`; nothing has happened",
        forge="",
        repository="none/none",
        subject="",
        head_sha="",
        author="",
        job="",
        run="",
        url=url,
    )
    try:
        await channel.tell(notice)
    except (ChannelUnavailableError, ChannelRefusedError) as error:
        return str(error)
    return ""
