"""What was missed while nobody listened: found by asking the forge, at start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Engine, select

from ci.config.repository import RepositorySection
from ci.config.settings import Config
from ci.errors import ForgeError
from ci.forge.protocol import Forge
from ci.forge.webhook_payloads import PullRequest
from ci.queue.job_queue import Queue
from ci.store.states import JobKind
from ci.store.tables import JOB
from ci.webhook.actions import settled
from ci.webhook.events import wanted
from farm import timestamps
from farm.store.engine import transaction

LOG = logging.getLogger(__name__)

_LONGEST = timedelta(days=3)  # GitHub keeps deliveries for so long; what has arrived is not asked for again


async def recover(engine: Engine, config: Config, forges: Mapping[str, Forge]) -> None:
    """Queue the open pull requests that no webhook announced, drop closed ones, and ask for lost deliveries.

    A forge that does not answer is left for the next start or its next delivery; the others are asked all the same.
    """
    for name, forge in forges.items():
        repositories = [each for each in config.repository if each.forge == name]
        try:
            for repository in repositories:
                pulls = await forge.open_pull_requests(repository.name)
                await asyncio.to_thread(_reconcile, engine, config, repository, pulls)
            asked = await forge.redeliver([each.name for each in repositories], timestamps.utc_now() - _LONGEST)
            LOG.info("forge %s: asked for %d lost deliveries", name, asked)
        except ForgeError as error:
            LOG.warning("forge %s cannot be asked what was missed: %s", name, error)


def _reconcile(engine: Engine, config: Config, repository: RepositorySection, pulls: Sequence[PullRequest]) -> None:
    """Bring the queue to what is open now."""
    open_subjects = {f"pull/{pull.number}" for pull in pulls}
    mine = (JOB.c.forge == repository.forge, JOB.c.repository == repository.name)
    waiting = (JOB.c.kind == JobKind.PULL_REQUEST.value, ~JOB.c.withdrawn)
    with transaction(engine, "written", write=True) as connection:
        queue = Queue(connection, config, repository)
        for pull in pulls:
            settled(wanted(pull))(queue)
        for subject in set(connection.execute(select(JOB.c.subject).where(*mine, *waiting)).scalars()):
            if subject not in open_subjects:
                queue.withdraw(subject, "the pull request was closed")
