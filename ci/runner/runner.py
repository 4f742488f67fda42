"""Executes the queue: claims jobs, starts and follows their runs, and settles each once.

One task a job. Whatever the database or the forge does meanwhile, a run is followed to its end; and whatever happens to
this process, `ci.queue.claims` says how the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from ci.config import directories
from ci.config.settings import Config
from ci.errors import ForgeError
from ci.forge.protocol import Forge
from ci.outbox.backoff import delay_s
from ci.outbox.waiting import within
from ci.queue.claims import Claims, JobClaim
from ci.queue.outcome import JobOutcome
from ci.runner import annotations as remarks
from ci.runner import gated_process, run_outcome, sweep_command
from ci.runner.checkout import Sources
from ci.runner.examination import Examination
from ci.runner.gated_process import Child
from ci.runner.git_command import FetchError, RefusedCommitError
from ci.runner.git_mirror import CommitMissingError, Commits
from ci.runner.run_command import FARM, run_command
from ci.runner.run_monitor import MOST_ATTEMPTS, Requeue, RunMonitor, insisting
from ci.store.states import JobKind
from farm.analysis import plausible_gain
from farm.errors import FarmError
from farm.model.run import RunRecord, Verdict
from farm.process import identity
from farm.store.engine import StoreError

LOG = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0
_ADOPT_EVERY_S = 15.0


class Runner:
    """Executes jobs of one database. Several processes may each have one."""

    def __init__(
        self,
        engine: Engine,
        config: Config,
        forges: Mapping[str, Forge],
        told: Callable[[], None] = lambda: None,
        farm: Sequence[str] = FARM,
    ) -> None:
        """`told` is called, on the event loop, when there is something to send; `farm` is the command."""
        self._config = config
        self._sources = Sources(config, forges)
        self._told = told
        self._farm = farm
        self._claims = Claims(engine, config, identity.current())
        self._following = RunMonitor(engine, self._claims, config.runner.limit_s, told)
        self._jobs: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    def wake(self) -> None:
        """There may be a job. Call it on the event loop."""
        self._arrived.set()

    async def run(self) -> None:
        """Execute until cancelled; then end the runs under way and put their jobs back."""
        adopted_at = -_ADOPT_EVERY_S
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._arrived.clear()
                try:
                    if clock() - adopted_at >= _ADOPT_EVERY_S:
                        adopted_at = clock()
                        self._begin(await asyncio.to_thread(self._claims.adopt), "goes on with")
                    free = self._config.runner.at_once - len(self._jobs)
                    self._begin(await asyncio.to_thread(self._claims.take, free), "claims")
                except FarmError as error:  # the store is away; what is queued stays queued
                    LOG.error("the queue cannot be read: %s", error)
                await self._rest()
        finally:
            for task in self._jobs:
                task.cancel()
            await asyncio.gather(*self._jobs, return_exceptions=True)

    async def _rest(self) -> None:
        try:
            await within(self._arrived.wait(), _LOOK_AGAIN_S)
        except asyncio.TimeoutError:
            return

    def _begin(self, claims: Collection[JobClaim], doing: str) -> None:
        for claim in claims:
            what = claim.head_sha[:12] or claim.subject
            LOG.info("%s job %s: %s of %s", doing, claim.id, what, claim.repository.name)
            task = asyncio.create_task(self._execute(claim))
            self._jobs.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self.wake()

    async def _execute(self, claim: JobClaim) -> None:
        try:
            if claim.process is not None:
                return await self._follow(claim, None)
            if claim.attempts > MOST_ATTEMPTS:
                why = f"given up after {MOST_ATTEMPTS} attempts, in none of which the run could begin"
                return await self._settle(claim, JobOutcome(Verdict.ERRORED, why))
            if claim.kind is JobKind.SWEEP:
                address, out = self._config.cluster.address, directories.sweep(claim.id)
                return await self._start(
                    claim, sweep_command.command(self._farm, claim.repository, claim.options, address, out)
                )
            commits = await self._commits(claim)
            if commits is not None:
                words = run_command(self._farm, claim, commits, self._config, directories.runs())
                await self._start(claim, words)
        except asyncio.CancelledError:
            await self._let_go(claim)
        except Exception as error:
            LOG.exception("job %s", claim.id)
            await self._settle(claim, JobOutcome(Verdict.ERRORED, f"the service broke: {type(error).__name__}"))
        return None

    async def _commits(self, claim: JobClaim) -> Commits | None:
        """What the job works on; None where it must not run now, and the job is dealt with."""
        try:
            commits = await self._sources.bring(claim)
            found = await self._sources.examine(claim, commits)
        except CommitMissingError as error:
            await self._settle(claim, JobOutcome(Verdict.ERRORED, str(error)))
        except RefusedCommitError as error:  # its own doing, so trying again does not help
            await self._settle(claim, JobOutcome(Verdict.FAILED, str(error)))
        except (FetchError, ForgeError) as error:
            await self._later(claim, error)
        else:
            if claim.approved_by or claim.kind is not JobKind.PULL_REQUEST or not found.needs_approval:
                return commits
            await self._hold(claim, found)
        return None

    async def _later(self, claim: JobClaim, error: FetchError | ForgeError) -> None:
        if claim.attempts >= MOST_ATTEMPTS:
            return await self._settle(claim, JobOutcome(Verdict.ERRORED, f"cannot be fetched: {error}"))
        wait_s = delay_s(claim.attempts, getattr(error, "retry_after_s", None), random.random())
        LOG.warning("job %s waits %.0f s: %s", claim.id, wait_s, error)
        return await self._put_back(claim, f"cannot be fetched yet: {error}", wait_s)

    async def _held_by_run(self, claim: JobClaim, record: RunRecord) -> bool:
        """The same for what only the run can find; a failure stands without anybody's approval."""
        if record.verdict is not Verdict.PASSED or claim.kind is not JobKind.PULL_REQUEST:
            return False
        gained = plausible_gain.implausible(record, claim.repository.plausible_gain)
        approved: bool = await insisting(lambda: self._claims.gain_approved(claim))
        if approved:
            gained = []
        rules = record.source.rule_changes if record.source and not claim.approved_by else []
        found = Examination(tuple(rules), (), tuple(gained))
        if found.needs_approval:
            await self._hold(claim, found)
        return found.needs_approval

    async def _hold(self, claim: JobClaim, found: Examination) -> None:
        text = remarks.held_for(found.rules, found.unexercised, found.implausible)
        await insisting(lambda: self._claims.hold(claim, found.reason, text))
        self._told()

    async def _start(self, claim: JobClaim, words: Sequence[str]) -> None:
        """Start the run: first its process, held back, then the note of it, and only then let it go."""
        log, out = directories.job_log(claim.id), directories.runs()
        for directory in (log.parent, out):
            directory.mkdir(parents=True, exist_ok=True)
        outer = {**os.environ, "FARM_STORE": self._config.store.url}  # the run must end in the store that is followed
        started = Child(words, gated_process.environment(outer, self._config.secrets()), out, log)
        try:
            noted = await insisting(lambda: self._claims.started(claim, started.owner))
        except asyncio.CancelledError:
            started.discard()
            raise
        if not noted:  # cancelled meanwhile
            started.discard()
            return await self._put_back(claim, "cancelled")
        with log.open("a") as said:
            said.write(f"{run_outcome.HEADING}{claim.run_id} of {claim.head_sha or claim.subject}\n")
        started.go()
        LOG.info("job %s is run %s, process %d", claim.id, claim.run_id, started.owner.pid)
        return await self._follow(replace(claim, process=started.owner), started)

    async def _follow(self, claim: JobClaim, started: Child | None) -> None:
        became = await self._following.to_the_end(claim, started)
        if isinstance(became, Requeue):
            await self._put_back(claim, became.why, delay_s(claim.attempts, None, random.random()))
        elif isinstance(became, RunRecord):
            if not await self._held_by_run(claim, became):
                await self._settle(claim, await self._sources.judged(claim, became))
        elif became is not None:
            await self._settle(claim, became)

    async def _settle(self, claim: JobClaim, run_outcome: JobOutcome) -> None:
        settled = await insisting(lambda: self._claims.settle(claim, run_outcome))
        if settled:
            LOG.info("job %s: %s: %s", claim.id, run_outcome.verdict.value, run_outcome.reason)
        self._told()

    async def _put_back(self, claim: JobClaim, why: str, wait_s: float = 0.0) -> None:
        await insisting(lambda: self._claims.put_back(claim, why, wait_s))
        self._told()

    async def _let_go(self, claim: JobClaim) -> None:
        """Put a job back at shut-down; a store that is away leaves it to the next service, as a crash would."""
        try:
            await asyncio.shield(asyncio.to_thread(self._claims.put_back, claim, "the service was ended"))
        except StoreError as error:
            LOG.error("job %s is left as it is: %s", claim.id, error)
