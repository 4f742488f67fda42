"""A check for each target of a job, beside the one that is required, where `farm.toml` asks for them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from ci.config.repository import RepositorySection
from ci.config.settings import Config
from ci.forge.protocol import Check, CheckStatus, Conclusion
from ci.outbox import outbox
from ci.queue import check_texts, job_targets
from ci.queue.job_targets import TargetRun
from ci.queue.outcome import JobOutcome
from ci.store.states import TargetState


def tell(
    connection: Connection, config: Config, repository: RepositorySection, names: tuple[str, str, str, str], job: Check
) -> None:
    """Queue the checks of a job's targets whose text is another one now.

    Args:
        connection: Of the transaction that changes the job.
        config: Where its pages are.
        repository: Whether targets have checks, and at which forge.
        names: What every check of the job begins with: name, commit, job, link.
        job: What the job's own check says now.
    """
    if not repository.target_checks:
        return
    for each in job_targets.of_job(connection, names[2]):
        check = _check(names, each, job, _address(config, names[3], each))
        key = f"check/{names[2]}/{each.name}"
        if outbox.newest(connection, key) != check:
            outbox.post(connection, key, repository.forge, repository.name, check)


def _check(names: tuple[str, str, str, str], run: TargetRun, job: Check, address: str) -> Check:
    name, head_sha, job_id, _ = names
    mine = (f"{name} / {run.name}", head_sha, job_id, address)
    if run.state is TargetState.DONE and run.verdict is not None:
        said: dict[str, Any] = {"offers_retry": False}  # the job is what can be retried
        return check_texts.completed(*mine, JobOutcome(run.verdict, run.reason)).model_copy(update=said)
    if job.status is CheckStatus.COMPLETED:
        if job.conclusion is Conclusion.CANCELLED:
            return check_texts.cancelled(*mine, job.summary)
        return check_texts.not_run(*mine, job.title)
    if run.state is TargetState.RUNNING and job.status is CheckStatus.IN_PROGRESS:
        return check_texts.progress(*mine, "Running", "Running")
    return check_texts.opened(*mine, "Queued")


def _address(config: Config, job_url: str, run: TargetRun) -> str:
    return f"{str(config.server.public_url).rstrip('/')}/runs/{run.run_id}" if run.run_id else job_url
