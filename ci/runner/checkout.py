"""What jobs work on: their commits, each repository's in one mirror, and the remarks on their files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from ci.config import directories
from ci.config.forge import ForgeKind
from ci.config.settings import Config
from ci.forge.protocol import Forge
from ci.queue.claims import JobClaim
from ci.queue.job_targets import TargetRun
from ci.queue.outcome import JobOutcome
from ci.runner import annotations as remarks
from ci.runner import examination, run_outcome
from ci.runner.examination import Examination, TargetSelection
from ci.runner.git_command import USER, FetchError, FetchLimits, RefusedCommitError, Remote
from ci.runner.git_mirror import Commits, Mirror
from ci.store.states import JobKind
from farm.analysis import plausible_gain
from farm.model.run import RunRecord

LOG = logging.getLogger(__name__)

# Where each kind of forge keeps the heads of pull requests.
_HEADS: Mapping[ForgeKind, str] = {
    "github": "refs/pull",
    "gitea": "refs/pull",
    "gitlab": "refs/merge-requests",
    "gitee": "refs/pull",
    "gitcode": "refs/merge-requests",
}
# The user whose password is the token, where it is not the one that most forges take.
_GIT_USERS: Mapping[ForgeKind, str] = {"gitee": "oauth2", "gitcode": "oauth2"}
_MOST_KEPT = 100  # selections of jobs that are under way: each costs a process for every suite
_MOST_READ = 50  # files of a commit that are searched for lines to annotate


class Sources:
    """The mirrors of one service."""

    def __init__(self, config: Config, forges: Mapping[str, Forge]) -> None:
        """`forges` say what git has to show for their repositories."""
        self._config = config
        self._forges = forges
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self._selected: dict[tuple[str, Commits], TargetSelection] = {}  # by job; the newest ones

    async def bring(self, claim: JobClaim) -> Commits:
        """The commits of a job, fetched where they are not here.

        Raises `CommitMissingError` where there are none such, `FetchError` or `ForgeError` where it may work later.
        """
        base = "" if claim.kind is JobKind.BASELINE else claim.base_sha
        token = await self._forges[claim.repository.forge].fetch_token(claim.repository.name)
        kind = self._config.forge[claim.repository.forge].kind
        remote = Remote(self._config.git_url(claim.repository), token, _GIT_USERS.get(kind, USER))
        return await self._mirror(claim).bring(remote, claim.head_sha, base, refs_of(claim, kind))

    async def select(self, claim: JobClaim, commits: Commits) -> TargetSelection:
        """Return what the job runs, and what its commit changes beside that. Raises what `examination.select` does."""
        found = await examination.select(self._mirror(claim), commits, claim)
        while len(self._selected) >= _MOST_KEPT:
            self._selected.pop(next(iter(self._selected)))
        self._selected[claim.id, commits] = found
        return found

    async def judged(self, claim: JobClaim, runs: Sequence[TargetRun], records: Mapping[str, RunRecord]) -> JobOutcome:
        """Return the text of a job whose targets are over, with the remarks on its commit.

        `records` has those of the runs that began, by their id.
        """
        mirror, found, texts = self._mirror(claim), Examination((), ()), {}
        try:
            commits = await mirror.local(claim.head_sha, claim.base_sha)
            selected = self._selected.pop((claim.id, commits), None)  # unless another service has begun the job
            found = (selected or await self.select(claim, commits)).found
            touched = [path for path in await mirror.changed(commits, ["**"]) if path.endswith(remarks.READ)]
            texts = {path: await mirror.text(commits.head, path) for path in touched[:_MOST_READ]}
        except (FetchError, RefusedCommitError) as error:  # the verdict stands without them
            LOG.warning("job %s: nothing can be said of its files: %s", claim.id, error)
        share, rules, gained, located = claim.repository.plausible_gain, set(found.rules), [], []
        for record in records.values():
            rules |= set(record.source.rule_changes if record.source else [])
            gained += plausible_gain.implausible(record, share)
            located += await asyncio.to_thread(remarks.located, record, texts)
        whole = Examination(tuple(sorted(rules)), found.unexercised, tuple(gained), found.new)
        notes = remarks.approved(whole, claim.approved_by)
        site = str(self._config.server.public_url).rstrip("/")
        return await asyncio.to_thread(run_outcome.judged, runs, records, notes, located, site)

    def _mirror(self, claim: JobClaim) -> Mirror:
        key = (claim.repository.forge, claim.repository.name)
        if key not in self._mirrors:
            limits = FetchLimits(self._config.runner.fetch_bytes, self._config.runner.fetch_s)
            self._mirrors[key] = Mirror(directories.mirror(*key), limits)
        return self._mirrors[key]


def refs_of(claim: JobClaim, forge: ForgeKind) -> list[str]:
    """Where the head may be found by name, for a remote that gives out no commit by its hash."""
    if claim.kind is JobKind.PULL_REQUEST and claim.number is not None:
        return [f"{_HEADS[forge]}/{claim.number}/head"]
    if claim.kind in (JobKind.MERGE_GROUP, JobKind.BASELINE):
        return [claim.subject]
    return []
