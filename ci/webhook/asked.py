"""What an event can ask for, beside what the queue knows, and the two things that every forge's events ask for."""

from __future__ import annotations

from dataclasses import dataclass

from ci.queue.intents import Cancel, Rerun, Validate
from ci.store.states import JobKind
from ci.webhook.commands import Command
from farm.model.priority import Priority


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody commands something in a comment; whether they may is for the forge to say."""

    number: int  # of the pull request
    comment_id: int
    login: str
    command: Command

    @property
    def subject(self) -> str:
        """The subject of the pull request's jobs."""
        return f"pull/{self.number}"


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, and why."""

    reason: str


Intent = Validate | Cancel | Rerun | Ask | Nothing


def baseline(ref: str, branch: str, before: str, after: str) -> Validate:
    """Return what a push to the default branch asks for."""
    return Validate(
        kind=JobKind.BASELINE,
        subject=ref,
        number=None,
        head_sha=after,
        base_sha="" if set(before) == {"0"} else before,
        base_ref=branch,
        from_fork=False,
        author="",
        priority=Priority.NIGHTLY,
    )


def hint(number: int, head_sha: str, base_ref: str, from_fork: bool, anew: bool) -> Validate:
    """Return what an event asks for that has no commit of the target branch: the forge is asked for the rest."""
    return Validate(
        kind=JobKind.PULL_REQUEST,
        subject=f"pull/{number}",
        number=number,
        head_sha=head_sha,
        base_sha="",
        base_ref=base_ref,
        from_fork=from_fork,
        author="",
        priority=Priority.PULL_REQUEST,
        anew=anew,
    )
