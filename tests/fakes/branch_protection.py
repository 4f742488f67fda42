"""Whether a forge lets a commit be merged whose branch requires a check: what its documentation and its code say.

GitHub: https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/about-protected-branches
"Required status checks must have a successful, skipped, or neutral status before collaborators can make changes to a
protected branch." A check run that is not there is expected, and blocks.

Gitea and Forgejo: `MergeRequiredContextsCommitStatus` in services/pull/commit_status.go. A required context is a glob
pattern; of the newest status of each context that it matches the worst one counts, and only `success` lets a merge
through. Two habits of some versions are kept on purpose, because they let more through: `warning` was combined into a
success, and where no context matched, all of them were combined.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

GITHUB_MEETS = frozenset({"success", "neutral", "skipped"})
GITEA_MEETS = frozenset({"success", "warning"})


def github_lets_merge(check_runs: Sequence[dict[str, Any]], required: str) -> bool:
    """Return whether the check `required` is met, from the check runs of one commit, the oldest first."""
    of_name = [each for each in check_runs if each["name"] == required]
    return bool(of_name) and of_name[-1]["status"] == "completed" and of_name[-1]["conclusion"] in GITHUB_MEETS


def gitea_lets_merge(statuses: Sequence[dict[str, Any]], required: str) -> bool:
    """Return whether the context `required` is met, from the statuses of one commit, the oldest first."""
    newest = {each["context"]: each["status"] for each in statuses}
    matched = {name: state for name, state in newest.items() if fnmatchcase(name, required)}
    counted = matched or newest
    return bool(counted) and set(counted.values()) <= GITEA_MEETS
