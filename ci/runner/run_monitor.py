"""Follows a run to its end: reports its progress, stops it where it is to stop, and finds its outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Engine

from ci.config import directories
from ci.config.settings import Config
from ci.queue import target_texts
from ci.queue.claims import Claims, JobClaim
from ci.queue.outcome import JobOutcome
from ci.queue.target_claims import TargetClaims
from ci.runner import gated_process, run_outcome, sweep_command
from ci.runner.gated_process import Child
from ci.store.states import JobKind, JobState
from farm.model.run import RunRecord, Verdict
from farm.model.sweep import SweepRecord
from farm.process import identity, termination
from farm.process.identity import ProcessIdentity
from farm.store.engine import StoreError

LOG = logging.getLogger(__name__)

MOST_ATTEMPTS = 5  # of one job; then its check says why it could not be judged

_POLL_S = 0.2
_LOOK_S = 2.0  # between two looks at the job's row, and two signs of life
_SAY_S = 10.0  # between two texts of a check; a forge counts requests
_RETRY_S = 2.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Requeue:
    """The run ended without being judged, and not for a reason of its own."""

    why: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The service ended the run, and with it the job."""

    why: str


@dataclass(slots=True)
class _Watch:
    """What is known of one process while it is followed."""

    claim: JobClaim
    process: ProcessIdentity
    began_s: float
    looked_s: float = float("-inf")
    said_s: float = float("-inf")
    said: str = ""  # what the check says
    stage: str = ""
    known: set[ProcessIdentity] = field(default_factory=set)  # of its session
    stopped: str = ""  # why it was ended by us


async def insisting(do: Callable[[], Answer]) -> Answer:
    """What `do` returns, in a thread, tried until the store takes it."""
    while True:
        try:
            return await asyncio.to_thread(do)
        except StoreError as error:
            LOG.error("%s; tried again in %.0f s", error, _RETRY_S)
            await asyncio.sleep(_RETRY_S)


class RunMonitor:
    """Follows the runs of one service."""

    def __init__(
        self, engine: Engine, config: Config, claims: Claims, targets: TargetClaims, told: Callable[[], None]
    ) -> None:
        """`told` is called when there is something to send."""
        self._engine = engine
        self._claims = claims
        self._targets = targets
        self._limit_s = config.runner.limit_s
        self._site = str(config.server.public_url).rstrip("/")
        self._told = told
        self._host = identity.current().host

    async def to_the_end(
        self, claim: JobClaim, started: Child | None, began_s: float
    ) -> RunRecord | JobOutcome | Requeue | Stopped | None:
        """Return the outcome of the run of `claim`, whose process exists; None once another service took it over.

        `started` is the process where this service has started it; `began_s` is when the job began, by the loop's
        clock. A cancelled call ends the process.
        """
        assert claim.process is not None, "followed once it is started"
        watch = _Watch(claim, claim.process, began_s)
        try:
            while not await self._over(watch):
                if not await self._looked(watch):
                    return None
                await asyncio.sleep(_POLL_S)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(gated_process.end, watch.process, watch.known))
            raise
        await asyncio.to_thread(termination.end_session, watch.process, watch.known, False)  # what it has left behind
        code = started.reap() if started else None
        record = await insisting(lambda: self._record(claim))
        return _judged(watch, record, code)

    def _record(self, claim: JobClaim) -> RunRecord | SweepRecord | None:
        if claim.kind is JobKind.SWEEP:
            return sweep_command.record_in(directories.sweep(claim.id))
        return run_outcome.record_of(self._engine, claim.run_id)

    async def _over(self, watch: _Watch) -> bool:
        if watch.process.gone():
            return True
        if watch.process.host == self._host:
            return False
        record = await insisting(lambda: self._record(watch.claim))
        return bool(watch.stopped) or (record is not None and record.verdict is not None)

    async def _looked(self, watch: _Watch) -> bool:
        """Do what is to be done now and then; whether the job is still this service's."""
        now = asyncio.get_running_loop().time()
        if now - watch.looked_s < _LOOK_S:
            return True
        watch.looked_s = now
        try:
            states = await asyncio.to_thread(self._claims.look, [watch.claim.id])
        except StoreError as error:
            LOG.error("job %s cannot be looked at: %s", watch.claim.id, error)
            return True
        if watch.claim.id not in states:
            LOG.warning("job %s has been taken over by another service", watch.claim.id)
            return False
        if states[watch.claim.id] is JobState.CANCELLING:
            watch.stopped = "cancelled"
        elif now - watch.began_s > self._limit_s:
            watch.stopped = f"ended after {self._limit_s:.0f} s, the limit of a job; see [runner] limit_s"
        watch.known |= set(termination.members(watch.process))
        if watch.stopped:
            await asyncio.to_thread(gated_process.end, watch.process, watch.known)
        else:
            await self._note(watch, now)
        return True

    async def _note(self, watch: _Watch, now: float) -> None:
        """Keep what the run does now, and have the check say it, but not each time."""
        claim, due = watch.claim, now - watch.said_s >= _SAY_S

        def note() -> None:
            log = directories.job_log(claim.id)
            targets, line = self._targets.of(claim), run_outcome.last_line(log)
            stage = target_texts.under_way(targets) + run_outcome.progress(self._engine, claim.run_id).stage(log)
            if stage != watch.stage:
                self._claims.note_stage(claim, stage)
                watch.stage = stage
            if due and stage + line != watch.said:
                text = run_outcome.live_text(claim.run_id, line)
                so_far = f"\n\n{target_texts.table(targets, self._site)}" if len(targets) > 1 else ""
                self._claims.say(claim, f"Running: {stage}", text + so_far)
                watch.said = stage + line

        try:
            await asyncio.to_thread(note)
        except StoreError as error:
            LOG.error("job %s: its stage cannot be stored: %s", claim.id, error)
        if due:
            watch.said_s = now
            self._told()


def _judged(
    watch: _Watch, record: RunRecord | SweepRecord | None, code: int | None
) -> RunRecord | JobOutcome | Requeue | Stopped:
    """What a run that is over says; `code` is None where nobody knows how its process ended."""
    if watch.stopped:
        return Stopped(watch.stopped)
    last = watch.claim.attempts >= MOST_ATTEMPTS
    if record is None:
        told = run_outcome.complaint(directories.job_log(watch.claim.id))
        if told or last or (code is not None and code >= 0):
            return JobOutcome(
                Verdict.ERRORED, told or f"the run ended before it began, with exit code {code}; see its log"
            )
        return Requeue("the run was ended before it began")
    if run_outcome.was_interrupted(record) and not last:
        return Requeue(record.reason)
    return run_outcome.judged_sweep(record) if isinstance(record, SweepRecord) else record
