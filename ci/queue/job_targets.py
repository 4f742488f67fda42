"""The targets of jobs: what each job is to run, one run after the other, and what is finished of it.

A finished target stays finished while its terms are the same, whichever service continues the job. Every function works
in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Row, delete, insert, select, union, update

from ci.config.target import Target
from ci.store.states import TargetState
from ci.store.tables import JOB, JOB_TARGET
from farm import timestamps
from farm.model.run import Verdict


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """One target that a job is to run."""

    target: Target
    changed_only: bool = False  # of a suite only what the commit touches


@dataclass(frozen=True, slots=True)
class TargetRun:
    """One target of a job, and how far it is."""

    position: int  # in the job, from 0 on
    name: str
    plan: PlannedTarget | None  # None of a run whose job was begun before jobs had targets
    state: TargetState
    run_id: str  # "" until it runs
    verdict: Verdict | None  # None until it is done
    reason: str  # one line
    started_at: str | None = None
    finished_at: str | None = None


def plan(connection: Connection, job_id: str, wanted: Sequence[PlannedTarget]) -> None:
    """Have the job run `wanted`, but for those of them that it has finished under the same terms."""
    done = [each for each in of_job(connection, job_id) if each.state is TargetState.DONE]
    connection.execute(delete(JOB_TARGET).where(JOB_TARGET.c.job_id == job_id))
    for position, each in enumerate(wanted):
        kept = next((before for before in done if before.plan == each), None)
        values = {"job_id": job_id, "position": position, "name": each.target.name, "run_id": ""}
        values |= {"terms": each.target.model_dump_json(), "changed_only": each.changed_only}
        values |= {"state": TargetState.WAITING.value, "verdict": "", "reason": ""}
        if kept is not None and kept.verdict is not None:
            values |= {"state": TargetState.DONE.value, "run_id": kept.run_id, "verdict": kept.verdict.value}
            values |= {"reason": kept.reason, "started_at": kept.started_at, "finished_at": kept.finished_at}
        connection.execute(insert(JOB_TARGET).values(values))


def begin(connection: Connection, job_id: str, position: int, run_id: str) -> None:
    """Note the run that the job does next."""
    values = {"state": TargetState.RUNNING.value, "run_id": run_id, "started_at": _now()}
    mine = (JOB_TARGET.c.job_id == job_id, JOB_TARGET.c.position == position)
    connection.execute(update(JOB_TARGET).where(*mine).values(values))


def end(connection: Connection, job_id: str, run_id: str, verdict: Verdict, reason: str) -> None:
    """Note what the run `run_id` of the job came to."""
    values = {"state": TargetState.DONE.value, "verdict": verdict.value, "reason": reason, "finished_at": _now()}
    mine = (JOB_TARGET.c.job_id == job_id, JOB_TARGET.c.run_id == run_id)
    if not connection.execute(update(JOB_TARGET).where(*mine).values(values)).rowcount:
        lost = {"name": "", "terms": "", "changed_only": False, "job_id": job_id, "position": 0, "run_id": run_id}
        connection.execute(insert(JOB_TARGET).values({**lost, **values}))  # begun before jobs had targets


def of_job(connection: Connection, job_id: str) -> list[TargetRun]:
    """Return the job's targets in order."""
    return of_jobs(connection, [job_id]).get(job_id, [])


def of_jobs(connection: Connection, job_ids: Collection[str]) -> dict[str, list[TargetRun]]:
    """Return the targets of each job that has some, in order."""
    query = select(JOB_TARGET).where(JOB_TARGET.c.job_id.in_(job_ids)).order_by(JOB_TARGET.c.position)
    found: dict[str, list[TargetRun]] = {}
    for row in connection.execute(query):
        found.setdefault(str(row.job_id), []).append(_target(row))
    return found


def runs_for(condition: ColumnElement[bool]) -> CompoundSelect[tuple[str]]:
    """Return a query of the ids of all runs that were made for jobs of which `condition` holds."""
    own = select(JOB.c.run_id).where(JOB.c.run_id != "", condition)
    of_target = select(JOB_TARGET.c.run_id).join(JOB, JOB.c.id == JOB_TARGET.c.job_id)
    return union(own, of_target.where(JOB_TARGET.c.run_id != "", condition))


def jobs_for(connection: Connection, run_ids: Collection[str]) -> dict[str, Row[tuple[object, ...]]]:
    """Return the job that each run was made for, where one was."""
    found = {}
    for row in connection.execute(select(JOB).where(JOB.c.run_id.in_(run_ids)).order_by(JOB.c.sequence)):
        found[str(row.run_id)] = row
    of_target = select(JOB, JOB_TARGET.c.run_id.label("made")).join(JOB_TARGET, JOB.c.id == JOB_TARGET.c.job_id)
    for row in connection.execute(of_target.where(JOB_TARGET.c.run_id.in_(run_ids)).order_by(JOB.c.sequence)):
        found[str(row.made)] = row
    return found


def _target(row: Row[tuple[object, ...]]) -> TargetRun:
    terms = Target.model_validate_json(str(row.terms)) if row.terms else None
    return TargetRun(
        position=int(str(row.position)),
        name=str(row.name),
        plan=PlannedTarget(terms, bool(row.changed_only)) if terms else None,
        state=TargetState(str(row.state)),
        run_id=str(row.run_id),
        verdict=Verdict(str(row.verdict)) if row.verdict else None,
        reason=str(row.reason),
        started_at=str(row.started_at) if row.started_at else None,
        finished_at=str(row.finished_at) if row.finished_at else None,
    )


def _now() -> str:
    return timestamps.as_text(timestamps.utc_now())
