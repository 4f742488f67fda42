"""What one row of the fault table says."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from jobs.records import Fault


class Action(str, enum.Enum):
    """What a fault leads to, besides being recorded."""

    FAIL = "fail"  # the kernel's, proven by one occurrence; never tried again
    ASK_ANOTHER_CARD = "ask-another-card"  # may be anyone's: the same on a second healthy card is the kernel's
    RETRY_ONCE = "retry-once"  # the same, but with one retry only: each costs a whole time limit
    RETRY_ELSEWHERE = "retry-elsewhere"  # not the kernel's, however often it is seen
    QUARANTINE = "quarantine-and-retry"  # the card's: it is no witness any more
    FALLOUT = "fallout"  # follows from another fault: the first is the one to report; alone, it is tried elsewhere
    FAIL_CLOSED = "fail-closed"  # errored and not tried again
    NEUTRAL = "neutral"  # a bug of the runtime: errored and not tried again, kind and log kept for its maintainers


class Source(str, enum.Enum):
    """Where a fault shows, and so what its signal is."""

    FARM = "seen by the farm"  # the kind itself
    EXCEPTION = "exception"  # name of the type, or of an errno
    WORKER = "lost worker"  # name of the type Ray raises
    EXIT = "exit code"  # as a shell gives it: 128 + number of the signal
    RUNTIME = "runtime code"  # of CANN or PyPTO; `5…` stands for those that are not listed
    LATCHED = "device's own code"  # `orchestrator-N` or `scheduler-N`, which the device keeps and the host reads back
    LOG = "log line"  # a regular expression


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault."""

    source: Source
    signal: str
    name: str  # in words; "" where the signal says it
    kind: str  # slug in the record
    fault: Fault
    action: Action
    reason: str  # one sentence

    @property
    def label(self) -> str:
        """What a message that reports this fault begins with."""
        head = ""
        if self.source is Source.RUNTIME:
            head = f"device error {self.signal} "
        elif self.source is Source.LATCHED:
            head = self.signal.replace("-", " error ") + " "
        return f"{head}{self.name}".strip()
