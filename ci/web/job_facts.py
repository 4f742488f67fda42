"""What pages say of jobs beyond their rows: the place in the queue, where the forge shows them, and their retries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import Connection, and_, case, exists, func, select, tuple_

from ci.api.jobs import Job
from ci.config.forge import ForgeKind
from ci.config.settings import Config
from ci.outbox import outbox
from ci.queue.job_queue import JobRow
from ci.store.states import JobState
from ci.store.tables import JOB
from farm.model.priority import Priority
from farm.store.tables import RUN

_RANK = case({each.value: each.rank for each in Priority}, value=JOB.c.priority, else_=len(Priority))
_GOES_ON = (JobState.RUNNING.value, JobState.CANCELLING.value)


@dataclass(frozen=True, slots=True)
class ForgeLinks:
    """Where the forge shows what a job is about; "" where there is no such page."""

    subject: str = ""  # the pull request, or the branch
    commit: str = ""
    check: str = ""


def waiting(connection: Connection, limit: int) -> tuple[Sequence[JobRow], int]:
    """The jobs that wait, in the order in which they are taken, as many as `limit`; and how many there are."""
    mine = JOB.c.state.in_((JobState.QUEUED.value, JobState.HELD.value))
    held = JOB.c.state == JobState.HELD.value
    number = connection.execute(select(func.count()).select_from(JOB).where(mine)).scalar_one()
    query = select(JOB).where(mine).order_by(held, _RANK, JOB.c.sequence).limit(limit)
    return connection.execute(query).all(), int(number)


def place(connection: Connection, job_id: str) -> int | None:
    """Return a queued job's place in the queue, from 1 on; None for a job in another state."""
    one = select(JOB.c.sequence, _RANK.label("rank")).where(JOB.c.id == job_id, JOB.c.state == JobState.QUEUED.value)
    found = connection.execute(one).first()
    if found is None:
        return None
    earlier = tuple_(_RANK, JOB.c.sequence) <= tuple_(found.rank, found.sequence)
    ahead = select(func.count()).select_from(JOB).where(JOB.c.state == JobState.QUEUED.value, earlier)
    return int(connection.execute(ahead).scalar_one())


def without_run(connection: Connection, ended: bool, limit: int) -> Sequence[JobRow]:
    """Jobs that go on, or with `ended` have their verdict, and have no run in the store; the newest first."""
    state = JOB.c.state == JobState.DONE.value if ended else JOB.c.state.in_(_GOES_ON)
    mine = and_(state, ~exists().where(RUN.c.id == JOB.c.run_id))
    order = JOB.c.finished_at if ended else JOB.c.sequence
    return connection.execute(select(JOB).where(mine).order_by(order.desc()).limit(limit)).all()


def retries(connection: Connection, job_id: str) -> tuple[str, str]:
    """Return the id of the job that `job_id` retries and of the one that retries it, "" for none."""
    before = connection.execute(select(JOB.c.retry_of).where(JOB.c.id == job_id)).scalar()
    after = connection.execute(select(JOB.c.id).where(JOB.c.retry_of == job_id)).scalar()
    return str(before or ""), str(after or "")


# Where each kind of forge shows pull requests, branches and commits, below a repository's page.
_PAGES: Mapping[ForgeKind, tuple[str, str, str]] = {
    "github": ("pull", "tree", "commit"),
    "gitea": ("pulls", "src/branch", "commit"),
    "gitlab": ("-/merge_requests", "-/tree", "-/commit"),
    "gitee": ("pulls", "tree", "commit"),
    "gitcode": ("merge_requests", "tree", "commits/detail"),
}


def forge_links(connection: Connection, config: Config, job: Job) -> ForgeLinks:
    """Return where the forge of a job shows its subject, its commit and its check."""
    forge = config.forge.get(job.forge)
    if forge is None:
        return ForgeLinks()
    place, github = f"{forge.web()}/{quote(job.repository)}", forge.kind == "github"
    pulls, branches, commits = _PAGES[forge.kind]
    subject = commit = check = ""
    if job.number is not None:
        subject = f"{place}/{pulls}/{job.number}"
    elif job.subject.startswith("refs/heads/"):
        subject = f"{place}/{branches}/{quote(job.subject.removeprefix('refs/heads/'))}"
    if job.head_sha:
        commit = f"{place}/{commits}/{job.head_sha}"
        check_id = outbox.remote_id(connection, f"check/{job.id}")
        check = f"{place}/runs/{quote(check_id)}" if github and check_id else ""  # a status has no page of its own
    return ForgeLinks(subject, commit, check)
