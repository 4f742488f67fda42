"""The commits of a run of a suite: what is read of them before it starts, and what workers are sent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from farm.model.run import SourceRecord, SourceRequest
from farm.source.git_repository import GitRepository, SourceError
from farm.source.suite_rules import changed_rules
from farm.source.whole_commit import changed_paths, whole_commit
from jobs.sandbox.source_tree import Tree
from jobs.sandbox.spec import SuiteConfinement
from kernel.harness.profile import Profile


@dataclass(frozen=True, slots=True)
class SuiteCommits:
    """The trees of one run."""

    request: SourceRequest
    head: Tree
    base: Tree | None  # None where there is no base
    base_lacks: str  # why there is no base to measure, in words; "" where there is one, or none was asked for

    @property
    def changed(self) -> list[str]:
        """Paths at which head and base differ; every path where there is no base."""
        return [path for path, _ in self.head.files] if self.base is None else changed_paths(self.head, self.base)

    def confinement(self, profile: Profile) -> SuiteConfinement:
        """What workers are sent."""
        trees = (self.head,) if self.base is None else (self.head, self.base)
        return SuiteConfinement(profile, trees, self.request.require_sandbox)

    def record(self, profile: Profile, targets: Collection[str]) -> SourceRecord:
        """What the run's record says of them; `targets` are the files that it runs."""
        rules = [] if self.base is None else changed_rules(self.head, self.base, profile, targets)
        return SourceRecord(
            commit=self.request.commit,
            tree=self.head.address,
            place=".",
            rule_changes=rules,
            compared_with=self.request.base if self.base is not None else "",
        )


def requested(repository: Path, commit: str, base: str | None, *, require_sandbox: bool) -> SourceRequest:
    """Return the request for `commit`, both names resolved; `base` becomes their merge base. Raises `SourceError`."""
    read_from = GitRepository(repository)
    head = read_from.commit(commit)
    return SourceRequest(
        repository=str(read_from.path),
        commit=head,
        base="" if base is None else read_from.merge_base(head, read_from.commit(base)),
        draw_seed=False,
        require_sandbox=require_sandbox,
    )


def read(source: SourceRequest) -> SuiteCommits:
    """Return the trees that `source` asks for. Raises `SourceError`, for the head alone: a base may be missing."""
    repository = GitRepository(Path(source.repository))
    head = whole_commit(repository, repository.commit(source.commit))
    if not source.base:
        return SuiteCommits(source, head, None, "")
    try:
        base = whole_commit(repository, source.base)
    except SourceError as error:
        return SuiteCommits(source, head, None, f"the merge base cannot be measured: {error}")
    if base.address == head.address:
        return SuiteCommits(source, head, None, f"the files are those of the merge base {source.base[:12]}")
    return SuiteCommits(source, head, base, "")
