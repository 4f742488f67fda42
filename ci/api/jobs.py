"""Jobs: the queue of commits to validate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, select

from ci.api.access import READER, ApiContext, GateHere, Origin, Submitter
from ci.api.audited import audited
from ci.api.pages import Cursor, Limit, Page, Word, cursor, number_position
from ci.api.problems import ApiError
from ci.config.repository import RepositorySection
from ci.config.section import RepositoryName
from ci.queue import job_targets
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.job_targets import TargetRun
from ci.queue.options import JobOptions
from ci.store.states import OPEN, JobKind, JobState, TargetState
from ci.store.tables import JOB
from farm.model.audit import Actor, AuditAction
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.store import audit_log
from farm.store.engine import transaction
from jobs.records import Record

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Sha = Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$")]
Case = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class JobTarget(BaseModel):
    """One target of a job: a kernel, or a suite, with a run of its own."""

    name: str
    state: TargetState
    run_id: str  # "" until it runs
    verdict: Verdict | None  # None until it is done
    reason: str
    started_at: str | None
    finished_at: str | None


class Job(BaseModel):
    """One commit in the queue, or its result."""

    id: str
    forge: str
    repository: str
    subject: str  # "pull/7", a full ref name, or "commit/SHA"
    kind: JobKind
    number: int | None  # of the pull request
    head_sha: str
    base_sha: str  # "" where nobody named one
    base_ref: str
    from_fork: bool
    author: str
    priority: Priority
    options: JobOptions
    state: JobState
    reason: str
    stage: str  # what its run does now; "" unless it runs
    approved_by: str  # "" where nobody had to
    run_id: str  # the newest; "" until it runs
    targets: list[JobTarget]  # in the order in which they are run; [] until that is known, and of older jobs
    verdict: Verdict | None  # None until it is done
    attempts: int  # how often it was begun
    created_at: str  # ISO 8601, UTC
    started_at: str | None
    finished_at: str | None


class Submission(Record):
    """A commit to validate."""

    forge: str = Field(default="github", pattern="^[a-z][a-z0-9-]{0,100}$")
    repository: RepositoryName
    commit: Sha = Field(description="The whole hash.")
    base: Sha | None = Field(default=None, description="The commit to compare with.")
    devices: int | None = Field(default=None, ge=1, le=1024, description="As configured where left out.")
    cases: list[Case] = Field(default_factory=list, max_length=64, description="As configured where empty.")
    targets: list[Case] = Field(
        default_factory=list, max_length=64, description="Names in farm.toml; where empty, those that it touches."
    )


@router.get("", summary="List jobs", dependencies=[READER])
def list_jobs(
    gate: GateHere,
    forge: Word | None = None,
    repository: Word | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    commit: Word | None = None,
    limit: Limit = 50,
    after: Cursor = None,
) -> Page[Job]:
    """Jobs, the newest first."""
    equal = {"forge": forge, "repository": repository, "head_sha": commit}
    equal |= {"kind": kind and kind.value, "state": state and state.value}
    query = select(JOB).where(*(JOB.c[name] == value for name, value in equal.items() if value is not None))
    if after is not None:
        query = query.where(JOB.c.sequence < number_position(after))
    with transaction(gate.engine, "read") as connection:
        found = connection.execute(query.order_by(JOB.c.sequence.desc()).limit(limit + 1)).all()
        shown = found[:limit]
        items = _jobs(connection, shown)
    return Page(items=items, next=cursor(shown[-1].sequence) if len(found) > limit else None)


@router.get("/{job_id}", summary="One job", dependencies=[READER])
def get_job(gate: GateHere, job_id: JobId) -> Job:
    """One job."""
    with transaction(gate.engine, "read") as connection:
        return _job(connection, _row(connection, job_id))


@router.post("", status_code=201, summary="Submit a commit")
def submit(gate: GateHere, by: Submitter, origin: Origin, asked: Submission, response: Response) -> Job:
    """Queue a commit of a configured repository. An open job of the same commit is cancelled and queued again.

    Whether the commit exists is found out when the job runs. The holder of the token answers for it, as somebody with
    write access does for `/farm approve`.
    """
    repository = _repository(gate, asked.forge, asked.repository, 422)
    wanted = Validate(
        kind=JobKind.COMMIT,
        subject=f"commit/{asked.commit}",
        number=None,
        head_sha=asked.commit,
        base_sha=asked.base or "",
        base_ref="",
        from_fork=False,
        author=by,
        priority=Priority.INTERACTIVE,
    )
    with transaction(gate.engine, "written", write=True) as connection:
        options = JobOptions(devices=asked.devices, cases=asked.cases, targets=asked.targets)
        Queue(connection, gate.config, repository).validate(wanted, options, f"token {by}")
        actor = Actor(f"token {by}", origin)
        audit_log.note(connection, actor, AuditAction.SUBMITTED, asked.commit, repository.name)
        return _made(connection, repository, wanted.subject, response)


@router.post("/{job_id}/cancel", summary="Cancel a job")
def cancel(gate: GateHere, by: Submitter, origin: Origin, job_id: JobId) -> Job:
    """Take a job out of the queue, or have a running one stopped."""
    return cancel_by(gate, Actor(f"token {by}", origin), job_id)


@router.post("/{job_id}/retry", status_code=201, summary="Retry a job")
def retry(gate: GateHere, by: Submitter, origin: Origin, job_id: JobId, response: Response) -> Job:
    """Queue the commit of a job that is over again, under the same terms: what needs an approval still does."""
    return retry_by(gate, Actor(f"token {by}", origin), job_id, response)


@router.post("/{job_id}/approve", summary="Approve a held job")
def approve(gate: GateHere, by: Submitter, origin: Origin, job_id: JobId) -> Job:
    """Let a held job run. The holder of the token answers for its commit, as somebody with write access does."""
    return approve_by(gate, Actor(f"token {by}", origin), job_id)


def cancel_by(gate: ApiContext, by: Actor, job_id: str) -> Job:
    """Take a job out of the queue, or have a running one stopped; `by` is kept as who did it. Raises `ApiError`."""
    with audited(gate.engine, by, AuditAction.CANCELLED, job_id) as connection:
        row = _row(connection, job_id)
        queue = Queue(connection, gate.config, _repository(gate, str(row.forge), str(row.repository), 409))
        if not queue.cancel_job(job_id, f"by {by.name}", by):
            raise ApiError(409, f"job {job_id} is {row.state} already")
        return _job(connection, _row(connection, job_id))


def approve_by(gate: ApiContext, by: Actor, job_id: str) -> Job:
    """Let a held job run; `by` is kept as who has approved its commit. Raises `ApiError`."""
    with audited(gate.engine, by, AuditAction.APPROVED, job_id) as connection:
        row = _row(connection, job_id)
        queue = Queue(connection, gate.config, _repository(gate, str(row.forge), str(row.repository), 409))
        if not queue.approve_job(job_id, by):
            raise ApiError(409, f"job {job_id} is {row.state}; only one that is held can be approved")
        return _job(connection, _row(connection, job_id))


def retry_by(gate: ApiContext, by: Actor, job_id: str, response: Response) -> Job:
    """Queue the commit of a job that is over again; the new job's reason says by whom. Raises `ApiError`."""
    with audited(gate.engine, by, AuditAction.RETRIED, job_id) as connection:
        row = _row(connection, job_id)
        repository = _repository(gate, str(row.forge), str(row.repository), 409)
        if row.state in [state.value for state in (*OPEN, JobState.CANCELLING)]:
            raise ApiError(409, f"job {job_id} is {row.state}; only one that is over can be retried")
        _, made = Queue(connection, gate.config, repository).retry(row, by)
        response.headers["Location"] = f"/api/v1/jobs/{made}"
        return _job(connection, _row(connection, made))


def _repository(gate: ApiContext, forge: str, name: str, status: int) -> RepositorySection:
    found = gate.config.find(forge, name)
    if found is None:
        raise ApiError(status, f"repository '{name}' of '{forge}' has no [[repository]] in farm.toml")
    return found


def _row(connection: Connection, job_id: str) -> Row[tuple[object, ...]]:
    row = connection.execute(select(JOB).where(JOB.c.id == job_id)).first()
    if row is None:
        raise ApiError(404, f"no job '{job_id}'")
    return row


def _made(connection: Connection, repository: RepositorySection, subject: str, response: Response) -> Job:
    """The job that was queued last for `subject`."""
    mine = (JOB.c.forge == repository.forge, JOB.c.repository == repository.name, JOB.c.subject == subject)
    newest = select(JOB).where(*mine).order_by(JOB.c.sequence.desc()).limit(1)
    job = _job(connection, connection.execute(newest).one())
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return job


def _job(connection: Connection, row: Row[tuple[object, ...]]) -> Job:
    return _jobs(connection, [row])[0]


def _jobs(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> list[Job]:
    targets = job_targets.of_jobs(connection, [str(row.id) for row in rows])
    return [_with_targets(row, targets.get(str(row.id), [])) for row in rows]


def _with_targets(row: Row[tuple[object, ...]], targets: Sequence[TargetRun]) -> Job:
    values = dict(row._mapping)
    values["verdict"] = values["verdict"] or None
    values["targets"] = [JobTarget.model_validate(each, from_attributes=True) for each in targets]
    return Job.model_validate({**values, "options": JobOptions.model_validate_json(str(values["options"]))})
