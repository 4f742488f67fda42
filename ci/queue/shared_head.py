"""What the required check of a commit says that is the head of several pull requests. Pure.

A forge keeps checks by commit and name, so pull requests with one head have one check between them, and of several
with that name the newest counts. A pass against one branch must not let the commit into another one, where it failed or
has not been judged: each of their checks says what holds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from ci.forge.protocol import Check, CheckStatus, Conclusion
from ci.store.states import JobState
from farm.model.run import Verdict

JobRow = Row[tuple[Any, ...]]


def combined(own: Check, job: JobRow, counted: Sequence[JobRow]) -> Check:
    """Return the check of `job` as it stands for all of `counted`, the newest jobs of open pull requests.

    Args:
        own: What the job's check says of the job alone.
        job: The job.
        counted: Jobs whose verdicts a merge of the commit depends on.
    """
    deciding = min(counted, key=_rank, default=job)
    if deciding.id == job.id or (_rank(deciding) == _rank(job) and job in counted):
        return _own(own, job)
    status, conclusion = _state(deciding)
    title = f"{deciding.subject}, which has the same commit, is {deciding.verdict or deciding.state}"
    said: dict[str, Any] = {"title": title, "status": status, "conclusion": conclusion, "annotations": []}
    return own.model_copy(update={**said, "offers_retry": conclusion is Conclusion.ACTION_REQUIRED})


def _own(own: Check, job: JobRow) -> Check:
    """What the check says of the job alone; `own` may be what was shown for all before."""
    status, conclusion = _state(job)
    if (own.status, own.conclusion) == (status, conclusion):
        return own
    title = " ".join(f"{job.verdict or job.state}: {job.reason}".split())[:250]
    said: dict[str, Any] = {"title": title, "status": status, "conclusion": conclusion, "annotations": []}
    return own.model_copy(update={**said, "offers_retry": conclusion is Conclusion.ACTION_REQUIRED})


def _rank(job: JobRow) -> int:
    """The worse, the lower: a failure decides at once, a pass only where nothing else is left."""
    order = (Conclusion.FAILURE, Conclusion.ACTION_REQUIRED, Conclusion.CANCELLED, None, Conclusion.SUCCESS)
    return order.index(_state(job)[1])


def _state(job: JobRow) -> tuple[CheckStatus, Conclusion | None]:
    if job.state == JobState.DONE.value:
        of_verdict = {Verdict.PASSED.value: Conclusion.SUCCESS, Verdict.FAILED.value: Conclusion.FAILURE}
        return CheckStatus.COMPLETED, of_verdict.get(job.verdict, Conclusion.ACTION_REQUIRED)
    if job.state in (JobState.CANCELLED.value, JobState.CANCELLING.value):
        return CheckStatus.COMPLETED, Conclusion.CANCELLED
    running = job.state == JobState.RUNNING.value
    return CheckStatus.IN_PROGRESS if running else CheckStatus.QUEUED, None
