"""What jobs work on: their commits, each repository's in one mirror, and what is to be said of their files."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ci.config import directories
from ci.config.settings import Config
from ci.forge.protocol import Forge
from ci.queue.claims import JobClaim
from ci.queue.outcome import JobOutcome
from ci.runner import annotations as remarks
from ci.runner import run_outcome
from ci.runner.git_mirror import Commits, FetchError, FetchLimits, Mirror, Remote
from ci.store.states import JobKind
from farm.model.run import RunRecord

LOG = logging.getLogger(__name__)

_MOST_READ = 50  # files of a commit that are searched for lines to annotate


class Sources:
    """The mirrors of one service."""

    def __init__(self, config: Config, forges: Mapping[str, Forge]) -> None:
        """`forges` say what git has to show for their repositories."""
        self._config = config
        self._forges = forges
        self._mirrors: dict[tuple[str, str], Mirror] = {}

    async def bring(self, claim: JobClaim) -> Commits:
        """The commits of a job, fetched where they are not here.

        Raises `CommitMissingError` where there are none such, `FetchError` or `ForgeError` where it may work later.
        """
        base = "" if claim.kind is JobKind.BASELINE else claim.base_sha
        token = await self._forges[claim.repository.forge].fetch_token(claim.repository.name)
        remote = Remote(self._config.git_url(claim.repository), token)
        return await self._mirror(claim).bring(remote, claim.head_sha, base, _refs(claim))

    async def changed_rules(self, claim: JobClaim, commits: Commits) -> list[str]:
        """Files by which the gate judges, as the repository is configured, that the job's commit changes."""
        return await self._mirror(claim).changed(commits, claim.repository.rules)

    async def judged(self, claim: JobClaim, record: RunRecord) -> JobOutcome:
        """What is told of a run, with what its commit says about it."""
        mirror, files, texts = self._mirror(claim), [], {}
        try:
            commits = await mirror.local(claim.head_sha, claim.base_sha)
            files = await mirror.changed(commits, claim.repository.rules)
            touched = [path for path in await mirror.changed(commits, ["**"]) if path.endswith(remarks.READ)]
            texts = {path: await mirror.text(commits.head, path) for path in touched[:_MOST_READ]}
        except FetchError as error:  # the verdict stands without them
            LOG.warning("job %s: nothing can be said of its files: %s", claim.id, error)
        files = sorted({*files, *(record.source.rule_changes if record.source else [])})
        return run_outcome.judged(record, remarks.approved(files, claim.approved_by), remarks.located(record, texts))

    def _mirror(self, claim: JobClaim) -> Mirror:
        key = (claim.repository.forge, claim.repository.name)
        if key not in self._mirrors:
            limits = FetchLimits(self._config.runner.fetch_bytes, self._config.runner.fetch_s)
            self._mirrors[key] = Mirror(directories.mirror(*key), limits)
        return self._mirrors[key]


def _refs(claim: JobClaim) -> list[str]:
    """Where the head may be found by name, for a remote that gives out no commit by its hash."""
    if claim.kind is JobKind.PULL_REQUEST and claim.number is not None:
        return [f"refs/pull/{claim.number}/head"]
    if claim.kind in (JobKind.MERGE_GROUP, JobKind.BASELINE):
        return [claim.subject]
    return []
