"""Who may ask Ray for devices next, where several runs share a cluster.

Ray gives devices to the request that comes at the right moment; it knows no priorities. So clients that want devices of
a shared cluster queue here, and only the first one asks Ray. The queue is an order of asking and nothing else: only Ray
knows which devices are held, and by which client.

A client keeps its place by asking again: one that stops (killed, gone) is forgotten after `STALE_S`. An actor that Ray
has restarted with an empty queue has the whole queue again as soon as every client has asked once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from farm.model.priority import Priority

# Those waiting ask twice a second; this many seconds without a word mean the process is gone, not slow.
STALE_S = 15.0
# A waiting run moves up one priority every so many seconds, so that nobody waits for ever behind a busy merge queue.
STEP_UP_S = 600.0


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One request for devices that waits."""

    id: str
    priority: Priority
    count: int  # devices wanted
    waited_s: float  # since it first asked; told by its owner, whose clock it is
    who: str  # "user@host pid 123, run of qkv_proj_rope"


@dataclass(slots=True)
class _WaitingRun:
    ticket: QueueEntry
    heard: float


class DeviceQueue:
    """The line. An instance lives in an actor; its methods are called one at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[str, _WaitingRun] = {}

    def ask(self, ticket: QueueEntry) -> list[QueueEntry]:
        """Join the queue, or stay in it; return the tickets ahead of this one, none when it is its turn."""
        self._places[ticket.id] = _WaitingRun(ticket, self._clock())
        line = self.line()
        return line[: [other.id for other in line].index(ticket.id)]

    def leave(self, ticket_id: str) -> None:
        """Step out of the line, with devices or without. Unknown ids are gone already."""
        self._places.pop(ticket_id, None)

    def line(self) -> list[QueueEntry]:
        """Return all tickets that wait, the first one first."""
        now = self._clock()
        self._places = {key: place for key, place in self._places.items() if now - place.heard <= STALE_S}
        return sorted((place.ticket for place in self._places.values()), key=_standing)

    def before(self, priority: Priority) -> list[QueueEntry]:
        """Those who wait with a better priority than `priority`, however long anybody has waited."""
        return [ticket for ticket in self.line() if ticket.priority.rank < priority.rank]


def _standing(ticket: QueueEntry) -> tuple[int, float, str]:
    """Priority less a step for every `STEP_UP_S` waited; among equals the one that has waited longest."""
    return ticket.priority.rank - int(ticket.waited_s // STEP_UP_S), -ticket.waited_s, ticket.id
