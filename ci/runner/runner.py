"""Executes the queue: claims jobs, starts and follows their runs, and settles each once.

One task a job, which runs its targets one after the other. Whatever the database or the forge does meanwhile, a run is
followed to its end; and whatever happens to this process, `ci.queue.claims` says how the next one goes on.
"""

from __future__ import annotations

import asyncio
import functools
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
from ci.queue import target_texts
from ci.queue.claims import Claims, JobClaim
from ci.queue.outcome import JobOutcome
from ci.queue.target_claims import TargetClaims
from ci.runner import annotations as remarks
from ci.runner import gated_process, run_outcome, sweep_command
from ci.runner.checkout import Sources
from ci.runner.examination import Examination
from ci.runner.gated_process import Child
from ci.runner.git_command import FetchError, RefusedCommitError
from ci.runner.git_mirror import CommitMissingError, Commits
from ci.runner.run_command import FARM, run_command
from ci.runner.run_monitor import MOST_ATTEMPTS, Requeue, RunMonitor, Stopped, insisting
from ci.store.states import JobKind, TargetState
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
        self._engine = engine
        self._claims = Claims(engine, config, identity.current())
        self._targets = TargetClaims(engine, config, self._claims)
        self._following = RunMonitor(engine, config, self._claims, self._targets, told)
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
        began_s = asyncio.get_running_loop().time()
        try:
            if claim.process is not None:
                return await self._goes_on(claim, began_s)
            if claim.attempts > MOST_ATTEMPTS:
                why = f"given up after {MOST_ATTEMPTS} attempts, in none of which the run could begin"
                return await self._settle(claim, JobOutcome(Verdict.ERRORED, why))
            if claim.kind is JobKind.SWEEP:
                return await self._sweep(claim, began_s)
            commits = await self._commits(claim)
            if commits is not None:
                await self._work(claim, commits, began_s)
        except asyncio.CancelledError:
            await self._let_go(claim)
        except Exception as error:
            LOG.exception("job %s", claim.id)
            await self._settle(claim, JobOutcome(Verdict.ERRORED, f"the service broke: {type(error).__name__}"))
        return None

    async def _goes_on(self, claim: JobClaim, began_s: float) -> None:
        """Follow a run that another service has started, and then run what is left of its job."""
        over = await self._follow(claim, None, began_s)
        if over is not None:
            await self._work(over, None, began_s)

    async def _sweep(self, claim: JobClaim, began_s: float) -> None:
        address, out = self._config.cluster.address, directories.sweep(claim.id)
        words = sweep_command.command(self._farm, claim.repository, claim.options, address, out)
        started = await self._start(claim, words)
        if started is not None:
            await self._follow(replace(claim, process=started.owner), started, began_s)

    async def _work(self, claim: JobClaim, commits: Commits | None, began_s: float) -> None:
        """Run the job's targets that have no verdict, one after the other, and settle it."""
        while True:
            begun = await insisting(functools.partial(self._targets.begin, claim))
            if begun is None:
                return await self._conclude(claim)
            claim, target = begun
            commits = commits or await self._commits_of(claim)
            if commits is None:
                return None
            assert target.plan is not None, "planned by this version"
            words = run_command(self._farm, claim, target.plan, commits, self._config, directories.runs())
            started = await self._start(claim, words)
            if started is None:
                return None
            over = await self._follow(replace(claim, process=started.owner), started, began_s)
            if over is None:
                return None
            claim = over

    async def _commits(self, claim: JobClaim) -> Commits | None:
        """What the job works on, its targets planned; None where it must not run now, and the job is dealt with."""
        commits = await self._commits_of(claim)
        if commits is None:
            return None
        try:
            chosen = await self._sources.select(claim, commits)
        except RefusedCommitError as error:  # its own doing, so trying again does not help
            await self._settle(claim, JobOutcome(Verdict.FAILED, str(error)))
        except FetchError as error:
            await self._later(claim, error)
        else:
            if chosen.found.needs_approval and not claim.approved_by and claim.kind is JobKind.PULL_REQUEST:
                await self._hold(claim, chosen.found)
            elif chosen.targets:
                await insisting(lambda: self._targets.plan(claim, chosen.targets))
                return commits
            else:
                await self._settle(claim, run_outcome.without_a_run(chosen.documents_only))
        return None

    async def _commits_of(self, claim: JobClaim) -> Commits | None:
        """Head and base, fetched; None where they cannot be had now, and the job is dealt with."""
        try:
            return await self._sources.bring(claim)
        except CommitMissingError as error:
            await self._settle(claim, JobOutcome(Verdict.ERRORED, str(error)))
        except RefusedCommitError as error:
            await self._settle(claim, JobOutcome(Verdict.FAILED, str(error)))
        except (FetchError, ForgeError) as error:
            await self._later(claim, error)
        return None

    async def _conclude(self, claim: JobClaim) -> None:
        """Settle a job whose targets all have their verdicts, or deal with one that was to stop."""
        runs = await insisting(lambda: self._targets.of(claim))
        if not runs or any(each.state is not TargetState.DONE for each in runs):
            return await self._put_back(claim, "cancelled")
        found = await insisting(lambda: run_outcome.records_of(self._engine, [each.run_id for each in runs]))
        if target_texts.gravest(runs) is Verdict.PASSED and await self._held_by_runs(claim, list(found.values())):
            return None
        return await self._settle(claim, await self._sources.judged(claim, runs, found))

    async def _later(self, claim: JobClaim, error: FetchError | ForgeError) -> None:
        if claim.attempts >= MOST_ATTEMPTS:
            return await self._settle(claim, JobOutcome(Verdict.ERRORED, f"cannot be fetched: {error}"))
        wait_s = delay_s(claim.attempts, getattr(error, "retry_after_s", None), random.random())
        LOG.warning("job %s waits %.0f s: %s", claim.id, wait_s, error)
        return await self._put_back(claim, f"cannot be fetched yet: {error}", wait_s)

    async def _held_by_runs(self, claim: JobClaim, records: Sequence[RunRecord]) -> bool:
        """Hold a pass for what only its runs can find; a failure stands without anybody's approval."""
        if claim.kind is not JobKind.PULL_REQUEST:
            return False
        share = claim.repository.plausible_gain
        gained = [line for record in records for line in plausible_gain.implausible(record, share)]
        approved: bool = await insisting(lambda: self._claims.gain_approved(claim))
        if approved:
            gained = []
        rules = {path for record in records for path in (record.source.rule_changes if record.source else [])}
        found = Examination(() if claim.approved_by else tuple(sorted(rules)), (), tuple(gained))
        if found.needs_approval:
            await self._hold(claim, found)
        return found.needs_approval

    async def _hold(self, claim: JobClaim, found: Examination) -> None:
        text = remarks.held_for(found)
        await insisting(lambda: self._claims.hold(claim, found.reason, text))
        self._told()

    async def _start(self, claim: JobClaim, words: Sequence[str]) -> Child | None:
        """Start the run: first its process, held back, then the note of it, and only then let it go.

        Returns None for a job that was cancelled meanwhile, which is dealt with.
        """
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
            await self._put_back(claim, "cancelled")
            return None
        with log.open("a") as said:
            said.write(f"{run_outcome.HEADING}{claim.run_id} of {claim.head_sha or claim.subject}\n")
        started.go()
        LOG.info("job %s is run %s, process %d", claim.id, claim.run_id, started.owner.pid)
        return started

    async def _follow(self, claim: JobClaim, started: Child | None, began_s: float) -> JobClaim | None:
        """Follow a run to its end; return the claim once its target has a verdict, None where the job is dealt with."""
        became = await self._following.to_the_end(claim, started, began_s)
        if isinstance(became, Requeue):
            await self._put_back(claim, became.why, delay_s(claim.attempts, None, random.random()))
        elif isinstance(became, Stopped):
            await self._settle(claim, JobOutcome(Verdict.ERRORED, became.why))
        elif isinstance(became, JobOutcome) and claim.kind is JobKind.SWEEP:
            await self._settle(claim, became)
        elif became is not None:
            verdict = became.verdict or Verdict.ERRORED
            return await insisting(lambda: self._targets.end(claim, verdict, became.reason))
        return None

    async def _settle(self, claim: JobClaim, outcome: JobOutcome) -> None:
        settled = await insisting(lambda: self._claims.settle(claim, outcome))
        if settled:
            LOG.info("job %s: %s: %s", claim.id, outcome.verdict.value, outcome.reason)
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
