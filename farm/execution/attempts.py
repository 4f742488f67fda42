"""How often a trial that ended without a measurement is tried again. The dispatch loop asks this for every workflow."""

from __future__ import annotations

from farm.model import attempts
from jobs.faults import diagnosis
from jobs.faults.model import Action
from jobs.records import Fault, TrialRecord, TrialStatus

# Attempts in all of what one look decides, or of what two looks at most can say something about.
_FEWER = {Action.RETRY_ONCE: 2, Action.FAIL: 1, Action.FAIL_CLOSED: 1, Action.NEUTRAL: 1}


def may_retry(record: TrialRecord, attempt: int) -> bool:
    """Return whether a trial that ended as `record` on its `attempt` (0 is the first) is to be made again.

    A failure that is the program's is never tried again: a retry must not turn it into a pass.
    """
    failure = record.failure
    if record.status is not TrialStatus.ERRORED or failure is None or failure.fault is Fault.KERNEL:
        return False
    most = min(attempts.MAX_ATTEMPTS, _FEWER.get(diagnosis.of_kind(failure.kind).action, attempts.MAX_ATTEMPTS))
    return attempt + 1 < most
