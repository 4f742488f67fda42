"""What a lost determinism vote says of a device. Pure.

Bits of its own against those of all other cards have two explanations: the card computes wrongly, or the kernel depends
on the device. One kernel cannot tell them apart, however often it is repeated; another kernel on the same device can.
So the first lost vote makes a device suspect, and one that it loses on a second kernel takes it out of work.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Protocol

from farm.model.device_health import BY_PERSON, EventKind, HealthEvent, claim

HISTORY = 1000  # events of a device that are looked through for an earlier lost vote
_LOST = "lost the determinism vote twice on "
_REST = "; either the card computes wrongly or the kernel depends on the device, which another kernel on it decides"
_FORGETS = BY_PERSON | {EventKind.CARD_CHANGED}


class EarlierEvent(Protocol):
    """An event of a device's history."""

    @property
    def kind(self) -> EventKind:
        """What happened."""

    @property
    def reason(self) -> str:
        """One line on it."""


def lost_vote(
    history: Iterable[EarlierEvent],
    device: str,
    platform: str,
    at: str,
    kernel: str,
    run_id: str,
    *,
    unsteady: bool,
    installed: bool,
) -> HealthEvent:
    """Return the event of a vote that `device` lost on `kernel`, twice looked at.

    Args:
        history: The device's events, newest first.
        device: Its id.
        platform: What it is a device of.
        at: ISO 8601.
        kernel: The kernel of the run.
        run_id: The run.
        unsteady: The device disagrees with itself and no other does, which is the card's.
        installed: The program is not that of a commit, which may compute otherwise on one device on purpose.
    """
    reason = f"{_LOST}{kernel}"
    if not installed:
        return claim(device, platform, at, reason, run_id)
    since = takewhile(lambda event: event.kind not in _FORGETS, history)
    lost = {each.reason.removeprefix(_LOST).partition("; ")[0] for each in since if each.reason.startswith(_LOST)}
    others = sorted(lost - {kernel})
    if unsteady:
        return HealthEvent(device, platform, at, EventKind.VOTE_LOST, f"{reason}; it disagrees with itself", run_id)
    if others:
        return HealthEvent(device, platform, at, EventKind.VOTE_LOST, f"{reason}; and before on {others[0]}", run_id)
    return HealthEvent(device, platform, at, EventKind.CLAIMED, f"{reason}{_REST}", run_id)
