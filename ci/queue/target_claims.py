"""The targets of a claimed job: planned, begun and ended in transactions that hold only while the job is ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine, update

from ci.config.settings import Config
from ci.queue import check_texts, job_targets, target_checks, target_texts
from ci.queue.claims import Claims, JobClaim
from ci.queue.job_queue import JobRow, Queue
from ci.queue.job_targets import PlannedTarget, TargetRun
from ci.store.states import JobState, TargetState
from ci.store.tables import JOB
from farm.model.run import Verdict
from farm.store.engine import transaction
from farm.timestamps import new_id


class TargetClaims:
    """The targets of the jobs that one service executes."""

    def __init__(self, engine: Engine, config: Config, claims: Claims) -> None:
        self._engine = engine
        self._config = config
        self._claims = claims

    def plan(self, claim: JobClaim, wanted: Sequence[PlannedTarget]) -> None:
        """Have the job run `wanted`; what it has finished under the same terms is not repeated."""
        with transaction(self._engine, "written", write=True) as connection:
            row = self._claims.locked(connection, claim)
            if row is not None:
                job_targets.plan(connection, claim.id, wanted)
                self._tell(connection, claim, row)

    def of(self, claim: JobClaim) -> list[TargetRun]:
        """Return the job's targets in order."""
        with transaction(self._engine, "read") as connection:
            return job_targets.of_job(connection, claim.id)

    def begin(self, claim: JobClaim) -> tuple[JobClaim, TargetRun] | None:
        """Note that the job's next target begins; None where nothing is left, or the job is to stop or is not ours.

        The claim that is returned has the id of the target's run.
        """
        with transaction(self._engine, "written", write=True) as connection:
            row = self._claims.locked(connection, claim)
            runs = job_targets.of_job(connection, claim.id)
            following = next((each for each in runs if each.state is not TargetState.DONE), None)
            if row is None or row.state != JobState.RUNNING.value or following is None:
                return None
            run_id = new_id()  # never the claim's: a service that died may have begun a run by that
            job_targets.begin(connection, claim.id, following.position, run_id)
            values = {"run_id": run_id, "process": ""}
            connection.execute(update(JOB).where(JOB.c.id == claim.id).values(values))
            self._tell(connection, claim, row)
            begun = replace(following, state=TargetState.RUNNING, run_id=run_id)
        return replace(claim, run_id=run_id, process=None), begun

    def end(self, claim: JobClaim, verdict: Verdict, reason: str) -> JobClaim:
        """Note what the run of `claim` came to; the next target has all its attempts."""
        with transaction(self._engine, "written", write=True) as connection:
            row = self._claims.locked(connection, claim)
            if row is not None:
                job_targets.end(connection, claim.id, claim.run_id, verdict, reason)
                left = [each for each in job_targets.of_job(connection, claim.id) if each.state is not TargetState.DONE]
                if left:
                    connection.execute(update(JOB).where(JOB.c.id == claim.id).values(process="", attempts=1))
                    claim = replace(claim, process=None, attempts=1)
                self._tell(connection, claim, row)
        return claim

    def _tell(self, connection: Connection, claim: JobClaim, row: JobRow) -> None:
        names = Queue(connection, self._config, claim.repository).names(row)
        runs = job_targets.of_job(connection, claim.id)
        title = target_texts.under_way(runs) or "Running"
        check = check_texts.progress(*names, title, title)
        target_checks.tell(connection, self._config, claim.repository, names, check)
