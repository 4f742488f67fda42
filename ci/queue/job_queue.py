"""The queue: which commits are to be validated. Each change and what the forge is told of it are one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from ci.config.repository import RepositorySection
from ci.config.settings import Config
from ci.forge.protocol import Check, Comment
from ci.outbox import outbox
from ci.queue import check_texts, notifications
from ci.queue.intents import Rerun, Validate
from ci.queue.options import JobOptions
from ci.store.states import OPEN, Event, JobKind, JobState
from ci.store.tables import JOB
from farm import timestamps
from farm.model.priority import Priority

JobRow = Row[tuple[object, ...]]

_OPEN = JOB.c.state.in_([state.value for state in OPEN])


class Queue:
    """The queue of one repository. Every method works in the caller's write transaction."""

    def __init__(self, connection: Connection, config: Config, repository: RepositorySection) -> None:
        self._connection = connection
        self._config = config
        self._repository = repository

    def validate(self, asked: Validate, options: JobOptions | None = None, approved_by: str = "") -> str:
        """Queue a commit, and cancel what is open of older commits of its subject. Returns one line on what was done.

        `options` say that a person asked; then a commit that has a verdict gets another one.
        """
        for job in self._jobs(JOB.c.subject == asked.subject, JOB.c.head_sha != asked.head_sha, _OPEN):
            self._cancel(job, f"superseded by {asked.head_sha[:12]}")
        same = self._jobs(JOB.c.subject == asked.subject, JOB.c.head_sha == asked.head_sha)
        settled = [job for job in same if job.state != JobState.CANCELLED.value]
        if settled and options is None:
            return f"{asked.head_sha[:12]} is {settled[-1].state} already"
        for job in same:
            if job.state in [state.value for state in OPEN]:
                self._cancel(job, "asked for anew")
        return self._add(asked, options or JobOptions(), approved_by or self._approver(asked))

    def schedule(self, asked: Validate, options: JobOptions) -> str:
        """Queue what a schedule asks for, unless the same is open already. Returns one line on what was done."""
        alike = (JOB.c.subject == asked.subject, JOB.c.kind == asked.kind.value, JOB.c.head_sha == asked.head_sha)
        under_way = [state.value for state in (*OPEN, JobState.CANCELLING)]
        for job in self._jobs(*alike, JOB.c.state.in_(under_way)):
            return f"{job.id} is {job.state} already"
        return self.validate(asked, options)

    def cancel(self, subject: str, reason: str) -> str:
        """Stop whatever is open of `subject`."""
        jobs = self._jobs(JOB.c.subject == subject, _OPEN)
        for job in jobs:
            self._cancel(job, reason)
        return f"cancelled {len(jobs)}: {reason}"

    def cancel_job(self, job_id: str, reason: str) -> bool:
        """Stop one job; whether it was open."""
        jobs = self._jobs(JOB.c.id == job_id, _OPEN)
        for job in jobs:
            self._cancel(job, reason)
        return bool(jobs)

    def rerun(self, asked: Rerun) -> str:
        """Queue again what has been validated of a commit, under the same terms."""
        by = JOB.c.id == asked.external_id if asked.external_id else JOB.c.head_sha == asked.head_sha
        newest = {job.subject: job for job in self._jobs(by, JOB.c.head_sha == asked.head_sha)}
        said = [self._again(job, asked.by) for job in newest.values()]
        return "; ".join(said) or f"nothing is known of {asked.head_sha[:12]}"

    def approve(self, subject: str, sha: str, login: str) -> str:
        """Let the held job of exactly this commit go ahead."""
        held = self._jobs(JOB.c.subject == subject, JOB.c.head_sha == sha, JOB.c.state == JobState.HELD.value)
        for job in held:
            values = {"state": JobState.QUEUED.value, "approved_by": login, "reason": f"approved by {login}"}
            self._connection.execute(update(JOB).where(JOB.c.id == job.id).values(values))
            self.tell(job, check_texts.opened(*self.names(job), f"Queued, approved by {login}"))
        return f"approved {sha[:12]}" if held else f"no commit {sha[:12]} waits for an approval here"

    def reply(self, number: int, to: str, text: str) -> None:
        """Answer a comment."""
        self.comment(check_texts.reply(number, to, text), f"reply/{to}")

    def _add(self, asked: Validate, options: JobOptions, approved_by: str, why: str = "") -> str:
        held = asked.from_fork and not approved_by
        state = JobState.HELD if held else JobState.QUEUED
        job_id = uuid.uuid4().hex
        source = {name: getattr(asked, name) for name in ("subject", "number", "head_sha", "base_sha", "base_ref")}
        values = {
            **source,
            "id": job_id,
            "forge": self._repository.forge,
            "repository": self._repository.name,
            "kind": asked.kind.value,
            "from_fork": asked.from_fork,
            "author": asked.author,
            "priority": asked.priority.value,
            "options": options.model_dump_json(),
            "state": state.value,
            "reason": "waits for an approval" if held else why,
            "approved_by": approved_by,
            "run_id": "",
            "created_at": timestamps.as_text(timestamps.utc_now()),
        }
        self._connection.execute(insert(JOB).values(values))
        job = self._connection.execute(select(JOB).where(JOB.c.id == job_id)).one()
        opened = (
            check_texts.held(*self.names(job), check_texts.FORK)
            if held
            else check_texts.opened(*self.names(job), "Queued")
        )
        self.tell(job, opened)
        if held:
            notifications.post(self._connection, self._config, job, Event.HELD, "waits for an approval")
        return f"{state.value} {asked.head_sha[:12] or asked.subject} as {job_id}"

    def _again(self, job: JobRow, by: str) -> str:
        kind = JobKind(str(job.kind))
        names = ("subject", "number", "head_sha", "base_sha", "base_ref", "from_fork", "author")
        terms = {name: getattr(job, name) for name in names}
        asked = Validate(kind=kind, priority=Priority(str(job.priority)), **terms)
        if job.state in [state.value for state in OPEN]:
            return f"{job.id} is {job.state} already"
        options = JobOptions.model_validate_json(str(job.options))
        return self._add(asked, options, str(job.approved_by), f"retried by {by}" if by else "")

    def _approver(self, asked: Validate) -> str:
        """Who has approved this very commit before, "" for nobody."""
        same = self._jobs(JOB.c.subject == asked.subject, JOB.c.head_sha == asked.head_sha, JOB.c.approved_by != "")
        return str(same[-1].approved_by) if same else ""

    def _cancel(self, job: JobRow, reason: str) -> None:
        """A running job stops by itself, when its runner sees the state; the others are over at once."""
        running = job.state == JobState.RUNNING.value
        values: dict[str, str] = {
            "state": (JobState.CANCELLING if running else JobState.CANCELLED).value,
            "reason": reason,
        }
        if not running:
            values["finished_at"] = timestamps.as_text(timestamps.utc_now())
        self._connection.execute(update(JOB).where(JOB.c.id == job.id).values(values))
        self.tell(job, check_texts.cancelled(*self.names(job), reason))

    def _jobs(self, *conditions: ColumnElement[bool]) -> Sequence[JobRow]:
        mine = (JOB.c.forge == self._repository.forge, JOB.c.repository == self._repository.name)
        return self._connection.execute(select(JOB).where(*mine, *conditions).order_by(JOB.c.sequence)).all()

    def names(self, job: JobRow) -> tuple[str, str, str, str]:
        """What every check of a job begins with: name, commit, job, link."""
        base = str(self._config.server.public_url).rstrip("/")
        return self._repository.check_name, str(job.head_sha), str(job.id), f"{base}/jobs/{job.id}"

    def tell(self, job: JobRow, check: Check) -> None:
        """Have the forge told what the job's check says now."""
        if not job.head_sha:
            return  # a sweep is of no commit, so there is nothing a check could stand at
        outbox.post(self._connection, f"check/{job.id}", self._repository.forge, self._repository.name, check)

    def comment(self, comment: Comment, key: str) -> None:
        """Have a comment made, or the one of this `key` changed."""
        place = f"{self._repository.forge}/{self._repository.name}/{comment.number}"
        outbox.post(self._connection, f"comment/{place}/{key}", self._repository.forge, self._repository.name, comment)
