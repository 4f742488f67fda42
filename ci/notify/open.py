"""Makes the channels of a configuration. One line in `_MAKERS` for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ci.config.settings import Config
from ci.notify.apprise_channel import AppriseChannel
from ci.notify.channel import Channel
from ci.notify.chat import ChatChannel
from ci.notify.mail import EmailChannel
from ci.notify.web import WebhookChannel

_MAKERS: Mapping[str, Callable[[Any], Channel]] = {
    "webhook": WebhookChannel,
    "chat": ChatChannel,
    "email": EmailChannel,
    "apprise": AppriseChannel,
}


def open_channels(config: Config) -> dict[str, Channel]:
    """Every [[notify]], by the name that the outbox knows it by. Nothing is sent yet."""
    return {f"notify/{section.name}": _MAKERS[section.kind](section) for section in config.notify}
