"""One row of the table of what an author can put into a pull request, and what must hold of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from farm.model.run import Verdict
from farm.store.run_store import Store
from tests.ci.server.proposals import DEVICES, Author, Farm

# GitHub's check → a status of Gitea and Forgejo that says the same.
STATUS = {
    "success": "success",
    "failure": "failure",
    "action_required": "error",
    "cancelled": "error",
    "queued": "pending",
    "none": "none",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that an author does, and what the required check of the proposed commit says in the end."""

    id: str  # as in docs/maintainer-pull-requests.md
    check: str  # a key of `STATUS`
    act: Callable[[Author], None]
    says: str = ""  # part of what the newest check run says
    approved_by: str = ""  # who has approved the commit, where somebody has

    @property
    def merge(self) -> str:
        """The word of the table on whether it can be merged."""
        if self.check != "success":
            return "no"
        return "approved" if self.approved_by else "yes"


def require(row: Row, farm: Farm) -> None:
    """Do what the row's author does; fail unless everything that the table says of it holds at both forges."""
    author = Author(farm)
    row.act(author)

    assert (author.check(), author.status()) == (row.check, STATUS[row.check]), author.jobs("reason")
    assert row.says in author.output(), author.output()[:2000]
    merges = row.check == "success"
    assert (farm.github.mergeable(author.head), farm.gitea.mergeable(author.head)) == (merges, merges)
    if merges:
        require_proof(row, author)
    assert farm.healthy() == list(DEVICES), "a device was taken away from others"
    assert farm.client.get("/readyz").json() == {"status": "ready"}


def require_proof(row: Row, author: Author) -> None:
    """Fail unless the newest job of the commit has a pass, and the approval that the row names."""
    for forge in ("github", "gitea"):
        head, verdict, run_id, approved_by = author.jobs("head_sha", "verdict", "run_id", "approved_by", forge=forge)[
            -1
        ]
        assert (head, verdict, approved_by) == (author.head, "passed", row.approved_by)
        if row.id != "documents-alone":  # there is nothing to run
            run = Store(author.farm.engine).get(run_id)
            assert (run.verdict, run.commit) == (Verdict.PASSED, author.head)
