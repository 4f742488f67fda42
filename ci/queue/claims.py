"""Which jobs a service executes: claimed, followed, and settled once, whichever process dies in between.

A claim is a row that names its service and, from before the run can do anything, the run's id and process. So the next
service after a crash can continue: a job whose process was never started is claimed again, a process that lives is
followed, and where the process is gone the verdict is in the store of runs. Every change applies only to a row that is
still the service's own, in the transaction that notifies the forge.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, case, or_, select, update

from ci.config.repository import RepositorySection
from ci.config.settings import Config
from ci.queue import alarms, check_texts, job_targets, notifications, schedule_issue
from ci.queue.check_names import is_narrowed
from ci.queue.job_queue import Queue
from ci.queue.options import JobOptions
from ci.queue.outcome import JobOutcome
from ci.store.states import Event, JobKind, JobState
from ci.store.tables import JOB
from farm import timestamps
from farm.model.audit import AuditAction
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.process.identity import ProcessIdentity
from farm.store import audit_log, health_store
from farm.store.engine import transaction
from farm.timestamps import new_id

GAIN = "implausible gain: "  # begins the reason of a job that is held for one, and so the note of its approval
LEASE = timedelta(seconds=120)  # a service of another machine that has been silent for so long has lost its jobs

_TAKEN = (JobState.RUNNING.value, JobState.CANCELLING.value)
_FREE = {"owner": "", "process": "", "run_id": "", "seen_at": "", "stage": ""}
_BEGINS = "fetches the commit"  # the stage of a job that is claimed

JobRow = Row[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class JobClaim:
    """One job that this service executes."""

    id: str
    repository: RepositorySection
    kind: JobKind
    subject: str  # "pull/7", a full ref name, or "commit/SHA"
    number: int | None  # of the pull request
    head_sha: str
    base_sha: str  # "" where nobody named one
    from_fork: bool
    priority: Priority
    options: JobOptions
    approved_by: str
    run_id: str
    process: ProcessIdentity | None  # None until it is there
    attempts: int  # this one included


class Claims:
    """The jobs of one service. `me` is its process."""

    def __init__(self, engine: Engine, config: Config, me: ProcessIdentity) -> None:
        self._engine = engine
        self._config = config
        self._me = me.dump()

    def take(self, most: int) -> list[JobClaim]:
        """Claim up to `most` queued jobs, by priority and age."""
        due = and_(JOB.c.state == JobState.QUEUED.value, JOB.c.next_at <= _now(), self._configured())
        order = case({each.value: each.rank for each in Priority}, value=JOB.c.priority, else_=len(Priority))
        query = select(JOB).where(due).order_by(order, JOB.c.sequence).limit(most)
        with transaction(self._engine, "read") as connection:
            if most < 1 or not connection.execute(query.limit(1)).first():
                return []  # the usual answer, and it takes no write lock
        with transaction(self._engine, "written", write=True) as connection:
            found = connection.execute(query.with_for_update(skip_locked=True)).all()
            return [self._claimed(connection, row) for row in found]

    def adopt(self) -> list[JobClaim]:
        """Take over the jobs of services that are gone."""
        with transaction(self._engine, "read") as connection:
            others = (JOB.c.state.in_(_TAKEN), JOB.c.owner != self._me, self._configured())
            orphans = [row for row in connection.execute(select(JOB).where(*others)) if _abandoned(row)]
        if not orphans:
            return []
        with transaction(self._engine, "written", write=True) as connection:
            return [self._claim(row) for row in orphans if self._inherit(connection, row)]

    def started(self, claim: JobClaim, process: ProcessIdentity) -> bool:
        """Note the process before it may begin; return whether the job still is to be executed."""
        running = (*self._mine(claim), JOB.c.state == JobState.RUNNING.value)
        with transaction(self._engine, "written", write=True) as connection:
            noted = update(JOB).where(*running).values(process=process.dump(), seen_at=_now())
            return bool(connection.execute(noted).rowcount)

    def look(self, job_ids: Collection[str]) -> dict[str, JobState]:
        """Say that this service is there, and see what state its jobs are in; one that it has lost is left out."""
        mine = (JOB.c.id.in_(job_ids), JOB.c.owner == self._me, JOB.c.state.in_(_TAKEN))
        with transaction(self._engine, "written", write=True) as connection:
            connection.execute(update(JOB).where(*mine).values(seen_at=_now()))
            found = connection.execute(select(JOB.c.id, JOB.c.state).where(*mine)).all()
        return {str(row.id): JobState(str(row.state)) for row in found}

    def note_stage(self, claim: JobClaim, stage: str) -> None:
        """Keep what the job's run does now, one line, for readers of the job's page."""
        with transaction(self._engine, "written", write=True) as connection:
            connection.execute(update(JOB).where(*self._mine(claim)).values(stage=stage))

    def say(self, claim: JobClaim, title: str, text: str) -> None:
        """Have the check say how far the run is; `text` is Markdown."""
        with transaction(self._engine, "written", write=True) as connection:
            row = self.locked(connection, claim)
            if row is not None and row.state == JobState.RUNNING.value:
                queue = Queue(connection, self._config, claim.repository)
                queue.tell(row, check_texts.progress(*queue.names(row), title, text))

    def put_back(self, claim: JobClaim, why: str, wait_s: float = 0.0) -> None:
        """Queue the job again, not to be claimed before `wait_s` have passed."""
        values = {**_FREE, "state": JobState.QUEUED.value, "reason": why}
        values["next_at"] = timestamps.later(timestamps.utc_now(), wait_s)
        with transaction(self._engine, "written", write=True) as connection:
            row = self.locked(connection, claim)
            if row is None or self._cancelled(connection, row):
                return
            connection.execute(update(JOB).where(JOB.c.id == claim.id).values(values))
            queue = Queue(connection, self._config, claim.repository)
            queue.tell(row, check_texts.opened(*queue.names(row), f"Queued again: {why}"))

    def hold(self, claim: JobClaim, reason: str, why: str) -> None:
        """Have the job wait for an approval; `reason` is one line, `why` Markdown."""
        with transaction(self._engine, "written", write=True) as connection:
            row = self.locked(connection, claim)
            if row is None or self._cancelled(connection, row):
                return
            values = {**_FREE, "state": JobState.HELD.value, "reason": reason, "started_at": None}
            connection.execute(update(JOB).where(JOB.c.id == claim.id).values(values))
            queue = Queue(connection, self._config, claim.repository)
            queue.tell(row, check_texts.held(*queue.names(row), why))
            notifications.post(connection, self._config, row, Event.HELD, reason)

    def gain_approved(self, claim: JobClaim) -> bool:
        """Return whether somebody approved this commit knowing its gain: an approval of its files came before it."""
        if not claim.approved_by:
            return False
        with transaction(self._engine, "read") as connection:
            return audit_log.is_noted(connection, AuditAction.APPROVED, f"{claim.head_sha}: {GAIN}")

    def settle(self, claim: JobClaim, outcome: JobOutcome) -> bool:
        """Give the job its one verdict; whether it was this service's to give."""
        with transaction(self._engine, "written", write=True) as connection:
            row = self.locked(connection, claim)
            if row is None:
                return False
            if self._cancelled(connection, row):
                return True
            values = {"state": JobState.DONE.value, "verdict": outcome.verdict.value, "reason": outcome.reason}
            values["stage"] = ""
            runs = [each.run_id for each in job_targets.of_job(connection, claim.id) if each.run_id]
            values |= {"run_id": runs[-1]} if runs else {}  # of an earlier claim, where nothing was left to be run
            settled = update(JOB).where(JOB.c.id == claim.id).values(**values, finished_at=_now())
            connection.execute(settled)
            row = connection.execute(select(JOB).where(JOB.c.id == claim.id)).one()
            queue = Queue(connection, self._config, claim.repository)
            queue.tell(row, check_texts.completed(*queue.names(row), outcome))
            report = outcome.report or f"**{outcome.verdict.value}**: {outcome.reason}"
            if claim.number is not None:
                kind = "narrowed report" if is_narrowed(claim.repository, claim.options) else "report"
                job_url, run_url = queue.links(row)
                several = len(runs) > 1  # then the report has the links
                comment = check_texts.report_comment(claim.number, report, kind, job_url, "" if several else run_url)
                queue.comment(comment, kind.replace(" ", "-"))
            schedule_issue.settled(connection, self._config, row, outcome.verdict, outcome.reason, report)
            self._tell_of_devices(connection, claim, row)
            if outcome.verdict is Verdict.ERRORED:
                platforms = {each.platform for each in claim.repository.judged_by()}
                alarms.settled(connection, self._config, row, sorted(platforms))
            return True

    def _tell_of_devices(self, connection: Connection, claim: JobClaim, row: JobRow) -> None:
        """Queue a notice of the devices that the job's run has put into quarantine, with the reasons."""
        out: dict[str, str] = {}
        for platform, run_id in self._runs(connection, claim, row):
            out |= health_store.taken_out(connection, platform, run_id, str(row.started_at))
        if out:
            said = "; ".join(f"{device} is quarantined: {why}" for device, why in out.items())
            notifications.post(connection, self._config, row, Event.DEVICE_OUT, said)

    def _runs(self, connection: Connection, claim: JobClaim, row: JobRow) -> set[tuple[str, str]]:
        """(platform, run) of all that the job has run."""
        found = job_targets.of_job(connection, claim.id)
        of_targets = {(each.plan.target.platform, each.run_id) for each in found if each.plan and each.run_id}
        return of_targets or {(claim.repository.platform, str(row.run_id))}

    def _cancelled(self, connection: Connection, row: JobRow) -> bool:
        """Close a job that was to stop. Its check says so already."""
        if row.state != JobState.CANCELLING.value:
            return False
        values = {"state": JobState.CANCELLED.value, "finished_at": _now(), "stage": ""}
        connection.execute(update(JOB).where(JOB.c.id == row.id).values(values))
        return True

    def _claimed(self, connection: Connection, row: JobRow) -> JobClaim:
        values: dict[str, Any] = {
            "state": JobState.RUNNING.value,
            "owner": self._me,
            "run_id": new_id(),
            "process": "",
            "stage": _BEGINS,
            "seen_at": _now(),
            "started_at": row.started_at or _now(),
            "attempts": JOB.c.attempts + 1,
        }
        connection.execute(update(JOB).where(JOB.c.id == row.id).values(values))
        return self._claim(connection.execute(select(JOB).where(JOB.c.id == row.id)).one())

    def _inherit(self, connection: Connection, row: JobRow) -> bool:
        """Put our name where the dead service's is, unless another one was faster."""
        same = (JOB.c.id == row.id, JOB.c.owner == row.owner, JOB.c.state.in_(_TAKEN))
        taken = update(JOB).where(*same).values(owner=self._me, seen_at=_now())
        return bool(connection.execute(taken).rowcount)

    def _claim(self, row: JobRow) -> JobClaim:
        repository = self._config.find(str(row.forge), str(row.repository))
        assert repository is not None, "held by `_configured`"
        return JobClaim(
            id=str(row.id),
            repository=repository,
            kind=JobKind(str(row.kind)),
            subject=str(row.subject),
            number=None if row.number is None else int(str(row.number)),
            head_sha=str(row.head_sha),
            base_sha=str(row.base_sha),
            from_fork=bool(row.from_fork),
            priority=Priority(str(row.priority)),
            options=JobOptions.model_validate_json(str(row.options)),
            approved_by=str(row.approved_by),
            run_id=str(row.run_id),
            process=ProcessIdentity.load(str(row.process)) if row.process else None,
            attempts=int(str(row.attempts)),
        )

    def locked(self, connection: Connection, claim: JobClaim) -> JobRow | None:
        """Return the job, locked for this transaction; None where it is no longer this service's."""
        mine = select(JOB).where(*self._mine(claim)).with_for_update()
        return connection.execute(mine).first()

    def _mine(self, claim: JobClaim) -> tuple[ColumnElement[bool], ...]:
        return (JOB.c.id == claim.id, JOB.c.owner == self._me, JOB.c.state.in_(_TAKEN))

    def _configured(self) -> ColumnElement[bool]:
        """Only jobs of repositories that farm.toml still has."""
        return or_(
            *(and_(JOB.c.forge == each.forge, JOB.c.repository == each.name) for each in self._config.repository)
        )


def _abandoned(row: JobRow) -> bool:
    """Whether the service of a job is gone, or so long silent that it must have lost it."""
    if ProcessIdentity.load(str(row.owner)).gone():
        return True
    return str(row.seen_at) < timestamps.as_text(timestamps.utc_now() - LEASE)


def _now() -> str:
    return timestamps.as_text(timestamps.utc_now())
