"""One test on one device: what was reported of it, and what that proves. Pure.

A failed comparison is the test's own at once. Any other failure may be anyone's: the fault table says what follows.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.faults import diagnosis
from jobs.faults.model import Action, FaultRow
from jobs.records import Fault
from kernel.harness import results
from kernel.harness.process_tree import ProcessExit, Stop
from kernel.harness.profile import Profile
from kernel.harness.reading import Reader
from kernel.harness.signatures import ranked

_KEPT = 240  # characters of a message
_WITNESSES = (Action.ASK_ANOTHER_CARD, Action.RETRY_ONCE)
_FINAL = (Action.FAIL_CLOSED, Action.NEUTRAL)


@dataclass(frozen=True, slots=True)
class Phase:
    """What pytest reported of one phase of a test."""

    when: str  # setup, call or teardown
    outcome: str  # passed, failed or skipped
    seconds: float = 0.0
    message: str = ""  # the last line of the traceback
    text: str = ""  # the traceback and what was captured, or why it was skipped


@dataclass(frozen=True, slots=True)
class Place:
    """A leased device."""

    id: str  # "node/index"
    index: int  # physical, on this machine
    card: str  # two dies of one are one witness


@dataclass(slots=True)
class Attempt:
    """One test in one process. The process may have ended under it."""

    place: Place
    phases: list[Phase] = field(default_factory=list)
    ended: ProcessExit | None = None  # how its process ended, where the test came to no outcome

    @property
    def finished(self) -> bool:
        """Whether the last phase was reported."""
        return any(phase.when not in ("setup", "call") for phase in self.phases)


class AttemptEnding(str, enum.Enum):
    """What one attempt proves."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"  # the test's own, by itself
    UNSURE = "unsure"  # the test's own where a second card says the same
    FAULT = "fault"  # a device's, the machine's or the farm's


@dataclass(frozen=True, slots=True)
class Judgement:
    """An attempt, judged."""

    ending: AttemptEnding
    kind: str = ""  # of the fault table, or "assert"
    message: str = ""  # one line
    text: str = ""
    again: bool = True  # worth another device, where nothing is proven
    unfit: bool = False  # the device, for all that would come after it


def judged(attempt: Attempt, profile: Profile, limit_s: float) -> Judgement:
    """Return what `attempt` proves; `limit_s` is how long a test may be silent."""
    failed = [phase for phase in attempt.phases if phase.outcome == "failed"]
    if failed:
        return _of_failure(failed, profile)
    if not attempt.finished:
        return _of_process(attempt.ended, limit_s)
    skipped = next((phase for phase in attempt.phases if phase.outcome == "skipped"), None)
    if skipped is not None:
        return Judgement(AttemptEnding.SKIPPED, message=_first_line(skipped.text))
    return Judgement(AttemptEnding.PASSED)


def device_fault_lines(profile: Profile) -> list[str]:
    """Return the patterns of lines after which a process on a device is not to be used any more."""
    return [line for each in ranked(profile.signatures) if each.kind == "device" for line in each.lines]


def _of_failure(failed: Sequence[Phase], profile: Profile) -> Judgement:
    text = "\n".join(phase.text for phase in failed)
    first = failed[0]
    message = _first_line(first.message) or _first_line(first.text)
    reader = Reader(profile)
    reader.feed(text.encode())
    signs = reader.close().signs
    if signs:
        sign = signs[min(signs)]
        row = (
            diagnosis.of_device_code(sign.code or "unknown") if sign.kind == "device" else diagnosis.of_kind(sign.kind)
        )
        return _by_row(row, f"{row.label}: {sign.line}" if sign.kind == "device" else sign.line, text)
    how = results.how_it_failed(first.message, in_call=first.when == "call")
    if how == results.ASSERTED:
        return Judgement(AttemptEnding.FAILED, how, message, text)
    return Judgement(AttemptEnding.UNSURE, f"unexplained-{how}", message, text)


def _of_process(ended: ProcessExit | None, limit_s: float) -> Judgement:
    """A test under which its process ended."""
    if ended is None or (ended.exit_code == 0 and ended.stopped is Stop.NONE):
        return _by_row(diagnosis.of_kind("worker-died"), "its process ended with success before the test did")
    if ended.stopped is Stop.TIME:
        return _by_row(diagnosis.of_kind("hang"), f"no end within {limit_s:g} s; its process was killed")
    if ended.stopped is Stop.QUOTA:  # what the tests before it have left counts too, so it is not its own at once
        told = "its process wrote more than the profile allows"
        return Judgement(AttemptEnding.UNSURE, "disk-quota", told)
    if ended.stopped is not Stop.NONE:
        return _by_row(diagnosis.of_kind("disk-full"), "the disk is full; its process was ended")
    if ended.exit_code is None:
        return _by_row(diagnosis.of_kind("worker-died"), ended.problem or "nobody saw its process end")
    return _by_row(diagnosis.of_exit(ended.exit_code), f"its process ended with exit code {ended.exit_code}")


def _by_row(row: FaultRow, message: str, text: str = "") -> Judgement:
    if row.fault is Fault.KERNEL:
        return Judgement(AttemptEnding.FAILED, row.kind, message, text)
    return Judgement(
        AttemptEnding.UNSURE if row.action in _WITNESSES else AttemptEnding.FAULT,
        row.kind,
        message,
        text,
        again=row.action not in _FINAL,
        unfit=row.action is Action.QUARANTINE,
    )


def _first_line(text: str) -> str:
    return next((" ".join(line.split())[:_KEPT] for line in text.splitlines() if line.strip()), "")
