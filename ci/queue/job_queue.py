"""The queue: which commits are to be validated. Each change and its message to the forge are one transaction."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from ci.config.repository import RepositorySection
from ci.config.settings import Config
from ci.forge.protocol import Check, Comment
from ci.outbox import outbox
from ci.queue import check_texts, notifications, shared_head, target_checks
from ci.queue.check_names import check_name
from ci.queue.intents import Rerun, Validate
from ci.queue.options import JobOptions
from ci.store.states import OPEN, UNDER_WAY, Event, JobKind, JobState
from ci.store.tables import JOB
from farm import timestamps
from farm.model.audit import DONE, Actor, AuditAction
from farm.model.priority import Priority
from farm.store import audit_log
from farm.text import counted

JobRow = Row[tuple[object, ...]]

_OPEN_STATES = tuple(state.value for state in OPEN)
_UNDER_WAY = tuple(state.value for state in UNDER_WAY)
_STOPPED = (JobState.CANCELLING.value, JobState.CANCELLED.value)
_OPEN = JOB.c.state.in_(_OPEN_STATES)
_JOB_ID = re.compile(r"(?<=\bjob )[0-9a-f]{32}\b")


class Queue:
    """The queue of one repository. Every method works in the caller's write transaction."""

    def __init__(self, connection: Connection, config: Config, repository: RepositorySection) -> None:
        self._connection = connection
        self._config = config
        self._repository = repository

    @property
    def forge(self) -> str:
        """The name of the repository's forge."""
        return self._repository.forge

    def validate(self, asked: Validate, options: JobOptions | None = None, approved_by: str = "") -> str:
        """Queue a commit, and cancel what is open of older commits of its subject. Returns one line on what was done.

        `options` say that a person asked; then a commit that has a verdict gets another one. A verdict on the way into
        another branch, or one of other cases or devices, is not counted.
        """
        wanted = options or JobOptions()
        older = self._jobs(JOB.c.subject == asked.subject, JOB.c.head_sha != asked.head_sha)
        for job in older:
            if job.state in _OPEN_STATES:
                self._cancel(job, f"superseded by {asked.head_sha[:12]}")
        name = check_name(self._repository, asked.kind, wanted)
        same = self._jobs(JOB.c.subject == asked.subject, JOB.c.head_sha == asked.head_sha)
        same = [job for job in same if self._name(job) == name]
        standing = [job for job in same if job.state not in _STOPPED and job.base_ref == asked.base_ref]
        if standing and options is None and not (asked.anew and standing[-1].state == JobState.DONE.value):
            return f"commit {asked.head_sha[:12]} is {standing[-1].state} already, as job {standing[-1].id}"
        for job in same:
            if job.state in _OPEN_STATES:
                self._cancel(job, "asked for anew")
        line, _ = self._add(asked, wanted, approved_by or self._approver(asked))
        for head in {str(job.head_sha) for job in older}:
            self._recombine(head)
        return line

    def schedule(self, asked: Validate, options: JobOptions) -> str:
        """Queue what a schedule asks for, unless the same is open already. Returns one line on what was done."""
        alike = (JOB.c.subject == asked.subject, JOB.c.kind == asked.kind.value, JOB.c.head_sha == asked.head_sha)
        for job in self._jobs(*alike, JOB.c.state.in_(_UNDER_WAY)):
            return f"job {job.id} is {job.state} already"
        return self.validate(asked, options)

    def cancel(self, subject: str, reason: str, by: Actor | None = None) -> str:
        """Stop whatever is open of `subject`; `by` is who has asked for it, where somebody has."""
        jobs = self._jobs(JOB.c.subject == subject, _OPEN)
        for job in jobs:
            self._cancel(job, reason, by)
        if by is not None and not jobs:
            self.note(by, AuditAction.CANCELLED, subject, "refused: no job of it is open")
        return f"cancelled {counted(len(jobs), 'job')}, {reason}" if jobs else "there is no open job to cancel"

    def withdraw(self, subject: str, reason: str) -> str:
        """Stop whatever is open of `subject`, which is closed or a draft: its verdicts hold up nobody else's merge."""
        line = self.cancel(subject, reason)
        jobs = self._jobs(JOB.c.subject == subject, ~JOB.c.withdrawn)
        if jobs:
            ids = [job.id for job in jobs]
            self._connection.execute(update(JOB).where(JOB.c.id.in_(ids)).values(withdrawn=True))
            self._recombine(str(jobs[-1].head_sha))
        return line

    def cancel_job(self, job_id: str, reason: str, by: Actor) -> bool:
        """Stop one job, as `by` has asked for; whether it was open."""
        jobs = self._jobs(JOB.c.id == job_id, _OPEN)
        for job in jobs:
            self._cancel(job, reason, by)
        return bool(jobs)

    def rerun(self, asked: Rerun) -> str:
        """Queue again what has been validated of a commit, under the same terms."""
        mine = JOB.c.id == asked.external_id if asked.external_id else JOB.c.head_sha == asked.head_sha
        newest = {(job.subject, self._name(job)): job for job in self._jobs(mine, JOB.c.head_sha == asked.head_sha)}
        by = Actor(f"{asked.by or 'somebody'}@{self._repository.forge}", "button of a check")
        said = [self.retry(job, by)[0] for job in newest.values()]
        return "; ".join(said) or f"nothing is known of {asked.head_sha[:12]}"

    def retry(self, job: JobRow, by: Actor) -> tuple[str, str]:
        """Queue the commit of a job again, once: a button that is pressed five times makes one job.

        Returns:
            One line on what was done, and the id of the job that now is to be looked at.
        """
        locked = select(JOB.c.id).where(JOB.c.id == job.id).with_for_update()  # two services, one retry
        self._connection.execute(locked).first()
        alike = (JOB.c.subject == job.subject, JOB.c.head_sha == job.head_sha, JOB.c.base_ref == job.base_ref)
        later = [each for each in self._jobs(*alike) if each.options == job.options and each.sequence >= job.sequence]
        for each in later:
            if each.retry_of == job.id or each.state in _UNDER_WAY:
                return f"job {each.id} is {each.state} already", str(each.id)
        names = ("subject", "number", "head_sha", "base_sha", "base_ref", "from_fork", "author")
        terms = {name: getattr(job, name) for name in names}
        asked = Validate(kind=JobKind(str(job.kind)), priority=Priority(str(job.priority)), **terms)
        options = JobOptions.model_validate_json(str(job.options))
        why = f"retried by {by.name}"
        line, made = self._add(asked, options, str(job.approved_by), why, retry_of=str(job.id))
        audit_log.note(self._connection, by, AuditAction.RETRIED, str(job.id), f"as {made}")
        return line, made

    def approve(self, subject: str, sha: str, login: str, origin: str) -> str:
        """Let the held job of exactly this commit go ahead; `login` is an account of the repository's forge."""
        by = Actor(f"{login}@{self._repository.forge}", origin)
        held = self._jobs(JOB.c.subject == subject, JOB.c.head_sha == sha, JOB.c.state == JobState.HELD.value)
        for job in held:
            self._approve(job, login, by)
        if not held:
            self.note(by, AuditAction.APPROVED, sha, "refused: no job of this commit is held")
            return f"no commit {sha[:12]} waits for an approval here"
        return f"approved commit {sha[:12]}, which is queued as job {held[-1].id}"

    def approve_job(self, job_id: str, by: Actor) -> bool:
        """Let one held job go ahead; whether it was held."""
        held = self._jobs(JOB.c.id == job_id, JOB.c.state == JobState.HELD.value)
        for job in held:
            self._approve(job, by.name, by)
        return bool(held)

    def note(self, by: Actor, action: AuditAction, subject: str, outcome: str = DONE, detail: str = "") -> None:
        """Add to the audit log what somebody has asked for."""
        audit_log.note(self._connection, by, action, subject, detail or self._repository.name, outcome)

    def _approve(self, job: JobRow, by: str, actor: Actor) -> None:
        values = {"state": JobState.QUEUED.value, "approved_by": by, "reason": f"approved by {by}"}
        self._connection.execute(update(JOB).where(JOB.c.id == job.id).values(values))
        audit_log.note(self._connection, actor, AuditAction.APPROVED, str(job.id), f"{job.head_sha}: {job.reason}")
        self.tell(job, check_texts.opened(*self.names(job), f"Queued, approved by {by}"))

    def reply(self, number: int, to: str, text: str) -> None:
        """Answer a comment; the ids of jobs in `text` become links."""
        linked = _JOB_ID.sub(lambda found: f"[{found[0][:8]}]({self._address(f'jobs/{found[0]}')})", text)
        self.comment(check_texts.reply(number, to, linked), f"reply/{to}")

    def _add(
        self, asked: Validate, options: JobOptions, approved_by: str, why: str = "", retry_of: str | None = None
    ) -> tuple[str, str]:
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
            "retry_of": retry_of,
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
        what = f"commit {asked.head_sha[:12]}" if asked.head_sha else asked.subject
        waits = " and waits for an approval" if held else ""
        return f"{what} is {state.value} as job {job_id}{waits}", job_id

    def _approver(self, asked: Validate) -> str:
        """Who has approved this very commit for this very branch before, "" for nobody."""
        alike = (JOB.c.subject == asked.subject, JOB.c.head_sha == asked.head_sha, JOB.c.base_ref == asked.base_ref)
        same = self._jobs(*alike, JOB.c.approved_by != "")
        return str(same[-1].approved_by) if same else ""

    def _cancel(self, job: JobRow, reason: str, by: Actor | None = None) -> None:
        """A running job stops by itself, when its runner sees the state; the others are over at once."""
        if by is not None:
            audit_log.note(self._connection, by, AuditAction.CANCELLED, str(job.id), str(job.subject))
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
        return self._name(job), str(job.head_sha), str(job.id), self.links(job)[0]

    def links(self, job: JobRow) -> tuple[str, str]:
        """The addresses of a job's page and of its run's, "" while it has none."""
        run = self._address(f"runs/{job.run_id}") if job.run_id else ""
        return self._address(f"jobs/{job.id}"), run

    def _address(self, path: str) -> str:
        return f"{str(self._config.server.public_url).rstrip('/')}/{path}"

    def tell(self, job: JobRow, check: Check) -> None:
        """Queue the present text of the job's check for the forge, and other checks that depend on it."""
        if not job.head_sha:
            return None  # a sweep is of no commit, so there is nothing a check could stand at
        target_checks.tell(self._connection, self._config, self._repository, self.names(job), check)
        group, deciding = self._group(str(job.head_sha))
        if len(group) < 2 or job.id not in [each.id for each in group]:
            return self._post(job, check)
        for each in group:
            own = check if each.id == job.id else outbox.newest(self._connection, f"check/{each.id}")
            if isinstance(own, Check):
                self._post(each, shared_head.combined(own, each, deciding))
        return None

    def _recombine(self, head_sha: str) -> None:
        """Queue the checks of a commit again, after a pull request has left it."""
        group, _ = self._group(head_sha)
        newest = outbox.newest(self._connection, f"check/{group[0].id}") if len(group) > 1 else None
        if isinstance(newest, Check):
            self.tell(group[0], newest)

    def _group(self, head_sha: str) -> tuple[list[JobRow], list[JobRow]]:
        """The newest job of each pull request that has, or had, this head; and those of them that a merge counts."""
        of_pulls = (JOB.c.kind == JobKind.PULL_REQUEST.value, JOB.c.head_sha == head_sha)
        group: dict[object, JobRow] = {}
        for job in self._jobs(*of_pulls):
            if self._name(job) == self._repository.check_name:
                group[job.subject] = job
        if len(group) < 2:
            return list(group.values()), list(group.values())
        deciding = [job for job in group.values() if not job.withdrawn and not self._has_moved(job)]
        return list(group.values()), deciding

    def _has_moved(self, job: JobRow) -> bool:
        """Whether the job's subject has another head by now."""
        later = (JOB.c.subject == job.subject, JOB.c.sequence > job.sequence, JOB.c.head_sha != job.head_sha)
        return bool(self._jobs(*later))

    def _name(self, job: JobRow) -> str:
        options = JobOptions.model_validate_json(str(job.options))
        return check_name(self._repository, JobKind(str(job.kind)), options)

    def _post(self, job: JobRow, check: Check) -> None:
        outbox.post(self._connection, f"check/{job.id}", self._repository.forge, self._repository.name, check)

    def comment(self, comment: Comment, key: str) -> None:
        """Have a comment made, or the one of this `key` changed."""
        place = f"{self._repository.forge}/{self._repository.name}/{comment.number}"
        outbox.post(self._connection, f"comment/{place}/{key}", self._repository.forge, self._repository.name, comment)
