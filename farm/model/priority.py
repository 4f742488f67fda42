"""Who goes first where several runs want the same devices."""

from __future__ import annotations

import enum


class Priority(str, enum.Enum):
    """Why a run was asked for; earlier members go first."""

    MERGE_QUEUE = "merge-queue"  # others' merges wait behind it
    PULL_REQUEST = "pull-request"
    INTERACTIVE = "interactive"  # a person at a terminal
    NIGHTLY = "nightly"  # may take until morning, and yields between two trials

    @property
    def rank(self) -> int:
        """0 goes first."""
        return list(Priority).index(self)

    @property
    def yields(self) -> bool:
        """Whether a run of this priority gives its devices up between two trials to one that goes first."""
        return self is Priority.NIGHTLY
